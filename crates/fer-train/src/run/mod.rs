//! A training run: steps, validation, checkpoints, records.

mod checkpoint;
mod fit;
mod history;
mod progress;
mod step;
mod tensorboard;

use std::{path::PathBuf, sync::atomic::AtomicBool, time::Duration};

use tch::Device;

use crate::network::TrainingPrecision;

pub(crate) use checkpoint::{State, save_network};
pub use checkpoint::{load_average, load_network};
pub(crate) use fit::{BEST, LAST, fit, refuse_to_overwrite};
pub(crate) use history::{EpochRecord, METRICS, read_records};

#[derive(Debug, Clone)]
pub(crate) struct Run<'a> {
    pub(crate) out: PathBuf,
    pub(crate) precision: TrainingPrecision,
    pub(crate) device: Device,
    /// Time between checkpoints within an epoch; one is written after every epoch anyway.
    pub(crate) checkpoint_every: Duration,
    /// Continue from [`LAST`] in `out`.
    pub(crate) resume: bool,
    /// Start from these weights (`model.safetensors`) instead of random ones.
    pub(crate) init: Option<PathBuf>,
    /// Set from outside to stop after the step under way.
    pub(crate) stop: &'a AtomicBool,
}
