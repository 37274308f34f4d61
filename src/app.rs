//! The state that handlers and layers share. No logic.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use tokio::sync::Semaphore;

use crate::{
    auth::Auth,
    config::Config,
    decode::DecodePool,
    faces::{Detector, Seeta},
    model::Model,
    observability::{metrics::Metrics, otlp::Traces, overload_log::OverloadLog},
};

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    /// Whether the engines run on CUDA, on which some defaults of the configuration depend.
    pub(crate) cuda: bool,
    pub(crate) metrics: Arc<Metrics>,
    /// The model in service; none until the first one has warmed up.
    pub(crate) model: ArcSwapOption<Model>,
    /// Decodes images.
    pub(crate) decoder: DecodePool,
    /// Decodes photos and finds the faces in them.
    pub(crate) detection: DecodePool,
    pub(crate) detector: Arc<dyn Detector>,
    pub(crate) auth: Auth,
    pub(crate) traces: Traces,
    pub(crate) overload_log: OverloadLog,
    /// One permit for each KiB of request bodies in memory.
    pub(crate) buffers: Arc<Semaphore>,
    draining: AtomicBool,
}

/// No model is loaded, or none of its engines works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no model is ready")]
pub(crate) struct NotReady;

impl App {
    /// State without a model. Fails if the file of API keys or the OTLP endpoint cannot be used, or the threads of a pool
    /// cannot be started.
    pub(crate) fn new(config: Config, metrics: Arc<Metrics>, cuda: bool) -> io::Result<Self> {
        let kib = usize::try_from(config.max_buffered.div_ceil(1024)).unwrap_or(Semaphore::MAX_PERMITS);
        let auth = Auth::new(&config.access).map_err(|e| {
            let file = config.access.api_keys.as_deref().unwrap_or("".as_ref());
            io::Error::other(format!("--api-keys: {} {e}", file.display()))
        })?;
        let pool = |name, threads| DecodePool::start(name, threads, Arc::clone(&metrics));
        Ok(Self {
            auth,
            traces: Traces::start(config.otlp_endpoint.as_deref()).map_err(io::Error::other)?,
            overload_log: OverloadLog::default(),
            decoder: pool("fer-decode", config.decode_threads())?,
            detection: pool("fer-detect", config.detect_threads())?,
            detector: Arc::new(Seeta::new().map_err(io::Error::other)?),
            buffers: Arc::new(Semaphore::new(kib.min(Semaphore::MAX_PERMITS))),
            model: ArcSwapOption::empty(),
            draining: AtomicBool::new(false),
            metrics,
            cuda,
            config,
        })
    }

    /// From now on the server is not ready.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The model, if one is loaded and at least one of its engines works.
    pub(crate) fn ready_model(&self) -> Result<Arc<Model>, NotReady> {
        self.model
            .load_full()
            .filter(|m| m.batcher.healthy())
            .ok_or(NotReady)
    }
}
