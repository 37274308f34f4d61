//! `fer-train`: CSV rows → augmented batches → network → checkpoint → model folder, and what measures it.
//!
//! - [`data`]: the CSV layouts, streamed
//! - [`recipe`]: every number a run depends on
//! - [`augment`]: one face → one random view of it
//! - [`batch`]: the views of a step
//! - [`network`]: the table of layers, forward and backward
//! - [`optimiser`]: SGD with state that can be saved; [`sharpness`]: where a step's gradient is taken
//! - [`checkpoint`]: all of a run's state in one file
//! - [`fit`]: the loop; [`progress`] shows it, [`tensorboard`] records it
//! - `stages`: the teachers' runs, then that of the network that learns from them; [`teachers`]: what they say of a view
//! - [`export`]: checkpoint → model folder: weights with batch norm folded, scores, int8 ranges, card
//! - [`eval`]: what `fer-train eval` does
//! - `score`: accuracy, F1, log-loss, calibration, confusion; temperature, robustness, rows that splits share
//! - [`robustness`]: changes to a face
//! - `plots`: diagrams of the scores
//! - [`cli`], [`commands`]: `fer-train`

pub mod augment;
pub mod batch;
pub mod block1;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod data;
pub mod eval;
pub mod export;
pub mod fit;
#[cfg(test)]
#[path = "../../../tests/support/flags.rs"]
mod flags;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod network;
pub mod optimiser;
mod plots;
pub mod precision;
pub mod progress;
#[cfg(test)]
mod random_folder;
pub mod recipe;
pub mod robustness;
mod score;
pub mod sharpness;
mod stages;
mod sys;
pub mod targets;
pub mod teachers;
pub mod tensorboard;

use std::path::PathBuf;

#[cfg(test)]
pub(crate) use random_folder::random_folder;

/// What stops a training command.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A CSV cannot be used.
    #[error(transparent)]
    Data(#[from] data::DataError),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A checkpoint, weight file or recipe is not what it should be.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model folder or the device.
    #[error(transparent)]
    Engine(#[from] fer_engine::EngineError),
    /// libtorch said no.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The loss stopped being a number.
    #[error(
        "the loss is not finite at epoch {epoch}, step {step}: lower the learning rate, or train with --precision f32"
    )]
    Diverged {
        /// From 1.
        epoch: u32,
        /// From 1, within the epoch.
        step: usize,
    },
    /// A picture cannot be drawn.
    #[error("drawing: {0}")]
    Draw(String),
    /// The request makes no sense together.
    #[error("{0}")]
    Usage(String),
}

impl TrainError {
    /// The exit code of a command that ends with it: 2 for what the user gave (flags, rows, files of the wrong
    /// kind), 1 for everything else.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Data(_)
            | Self::Invalid { .. }
            | Self::Usage(_)
            | Self::Engine(fer_engine::EngineError::Invalid { .. }) => 2,
            Self::File { .. } | Self::Engine(_) | Self::Torch(_) | Self::Draw(_) | Self::Diverged { .. } => 1,
        }
    }

    /// For `map_err` on an operation on a file.
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
