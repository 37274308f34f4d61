//! Image bytes → probabilities: the part of the service that `/predict`, `/faces`, `/v2` and `fer-serve predict` share.
//!
//! ```text
//! EncodedImage → decoders → Face → batcher → engine → Probabilities
//!             └→ decoders → Detection, whose faces go to the batcher
//! ```

mod classify;
mod decode_pool;
mod decoders;
mod detect;
mod encoded_image;
mod error;
mod estimate;
mod line;

pub(crate) use decode_pool::PoolError;
pub(crate) use encoded_image::EncodedImage;
pub(crate) use error::{ClassifyError, DecodeError, DecodingError};

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;

use crate::{config::Config, loaded_model::LoadedModel, observability::metrics::Metrics};
use decoders::Decoders;

/// The decoders, and the current model with its batcher.
#[derive(Debug)]
pub(crate) struct Pipeline {
    model: ArcSwapOption<LoadedModel>,
    decoders: Arc<Decoders>,
}

impl Pipeline {
    /// Starts the decoders, without a model yet.
    pub(crate) fn start(config: &Config, metrics: &Arc<Metrics>) -> io::Result<Self> {
        Ok(Self {
            model: ArcSwapOption::empty(),
            decoders: Arc::new(Decoders::start(config, metrics)?),
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

    /// For how long the slowest thread has been with its image.
    pub(crate) fn longest_in_decoder(&self) -> Duration {
        self.decoders.longest(Instant::now())
    }
}

/// The pipeline for one request: all its images are answered by the same model, until the same deadline.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) model: Arc<LoadedModel>,
    pub(crate) deadline: Instant,
    /// Whether one of its images was admitted to a line.
    admitted: Arc<AtomicBool>,
    /// Pixels of its images, but for small ones.
    pixels: Arc<AtomicU64>,
}

impl Session {
    /// The images of a request may have as many pixels together as this number of largest images.
    const LARGEST_IMAGES: u64 = 4;

    pub(crate) fn new(pipeline: Arc<Pipeline>, model: Arc<LoadedModel>, deadline: Instant) -> Self {
        Self {
            pipeline,
            model,
            deadline,
            admitted: Arc::default(),
            pixels: Arc::default(),
        }
    }

    /// Runs work that computes for long, and holds `bytes` in memory, on a thread of the light decoders.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let light = self.pipeline.decoders.light();
        light.compute(bytes, self.deadline, work).await
    }
}

#[cfg(test)]
mod tests;
