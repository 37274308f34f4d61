//! Image bytes → probabilities: the part of the service that `/predict`, `/faces`, `/v2` and `fer-serve predict` share.
//!
//! ```text
//! EncodedImage → decode pool → Face → batcher → engine → Probabilities
//!             └→ detect pool → Detection, whose faces go to the batcher
//! ```

mod classify;
mod decode_pool;
mod detect;
mod encoded_image;
mod error;

pub(crate) use decode_pool::PoolError;
pub(crate) use encoded_image::EncodedImage;
pub(crate) use error::{ClassifyError, DecodeError, DetectError};

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use fer_image::{Limits, faces::Seeta};

use crate::{config::Config, loaded_model::LoadedModel, observability::metrics::Metrics};
use decode_pool::DecodePool;

/// The decode pool, the detect pool, the face detector and the current model with its batcher.
#[derive(Debug)]
pub(crate) struct Pipeline {
    model: ArcSwapOption<LoadedModel>,
    decode: DecodePool,
    /// Photos are decoded and searched here, so that they delay neither the decode pool nor the engines.
    detect: DecodePool,
    detector: Seeta,
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl Pipeline {
    /// Starts the two pools, without a model yet.
    pub(crate) fn start(config: &Config, metrics: &Arc<Metrics>) -> io::Result<Self> {
        Ok(Self {
            model: ArcSwapOption::empty(),
            decode: DecodePool::start("fer-decode", config.decode_threads(), Arc::clone(metrics))?,
            detect: DecodePool::start("fer-detect", config.detect_threads(), Arc::clone(metrics))?,
            detector: Seeta::new().map_err(io::Error::other)?,
            limits: Limits {
                max_pixels: config.max_pixels,
                ..Limits::default()
            },
            metrics: Arc::clone(metrics),
        })
    }

    /// The current model; `None` until the first one has warmed up.
    pub(crate) fn model(&self) -> Option<Arc<LoadedModel>> {
        self.model.load_full()
    }

    /// The current model, if at least one of its workers has an engine.
    pub(crate) fn ready_model(&self) -> Option<Arc<LoadedModel>> {
        self.model().filter(|model| model.batcher.healthy())
    }

    /// Makes that model the current one and returns the one before. Sessions keep the model they began with.
    pub(crate) fn swap_model(&self, model: Option<Arc<LoadedModel>>) -> Option<Arc<LoadedModel>> {
        self.model.swap(model)
    }

    /// For how long the slowest worker of the current model has been inside its engine.
    pub(crate) fn longest_in_engine(&self) -> Duration {
        let model = self.model.load();
        model
            .as_ref()
            .map_or(Duration::ZERO, |model| model.batcher.longest_in_engine())
    }
}

/// The pipeline for one request: all its images are answered by the same model, until the same deadline.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) model: Arc<LoadedModel>,
    pub(crate) deadline: Instant,
}

impl Session {
    /// Runs work that computes for long, and holds `bytes` in memory, on the decode pool.
    pub(crate) async fn run_on_decode_pool<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.pipeline.decode.run(bytes, self.deadline, work).await
    }
}

#[cfg(test)]
mod tests;
