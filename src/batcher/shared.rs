//! What the batcher's handle and its workers share: the queue, the options, results and errors.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use fer_engine::{Classifier, EngineError, emotion::Probabilities};
use fer_image::Face;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::policy::Policy;
use crate::observability::metrics::Metrics;

pub(super) type Engine = Box<dyn Classifier>;

/// Builds an engine on the calling thread, and sets that thread up for it.
pub(crate) type EngineFactory = dyn Fn() -> Result<Engine, EngineError> + Send + Sync;

#[derive(Debug, Clone, Copy)]
pub(crate) struct BatcherOptions {
    /// Worker threads, each with an engine of its own.
    pub(crate) workers: NonZeroUsize,
    pub(crate) policy: Policy,
    /// Most faces that wait; one more is refused.
    pub(crate) queue: usize,
}

/// The answer for one face and where its time went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Classified {
    pub(crate) probabilities: Probabilities,
    /// Wait for a worker.
    pub(crate) queue: Duration,
    /// The batch's time in the engine.
    pub(crate) infer: Duration,
    /// Faces in that batch.
    pub(crate) batch: usize,
}

/// Why a face was not classified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatcherError {
    #[error("the queue is full")]
    QueueFull,
    #[error("the batcher is closed")]
    Closed,
    #[error("the deadline passed")]
    Deadline,
    /// The engine failed on this batch. The text is for the log.
    #[error("the engine failed: {0}")]
    Engine(String),
}

/// Why a batcher could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An engine could not be built or failed its warm-up.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A worker panicked while it built its engine.
    #[error("the engine panicked while it was built: {0}")]
    Panic(String),
    /// The operating system gave no thread.
    #[error("cannot start a worker thread: {0}")]
    Thread(#[source] std::io::Error),
}

pub(super) type Reply = oneshot::Sender<Result<Classified, BatcherError>>;

pub(super) struct Job {
    pub(super) face: Face,
    pub(super) reply: Reply,
    pub(super) queued: Instant,
    pub(super) deadline: Instant,
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) jobs: VecDeque<Job>,
    /// Workers that wait for jobs, each with an engine.
    pub(super) idle: usize,
    pub(super) closed: bool,
}

pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    pub(super) wake: Condvar,
    pub(super) options: BatcherOptions,
    pub(super) metrics: Arc<Metrics>,
    /// Workers that have an engine.
    pub(super) healthy: AtomicUsize,
}

impl Shared {
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.wake.notify_all();
    }
}

impl Drop for Shared {
    /// Jobs are left if the last engine failed while the queue was closed; dropping them ends their waits.
    fn drop(&mut self) {
        let left = self.queue.get_mut().jobs.len();
        self.metrics
            .queue_depth
            .sub(i64::try_from(left).unwrap_or(i64::MAX));
    }
}
