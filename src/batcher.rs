//! Bounded queue of faces → OS threads that each own an engine.
//!
//! A batch is whatever has queued while the model was busy. What crosses the queue is small: a [`Face`],
//! where to send the answer, and until when it is wanted; tensors stay in the engine, and an engine stays
//! on the thread that built it. [`Policy`] decides how much a free worker takes and is pure; [`worker`]
//! carries it out.

mod policy;
mod together;
mod watch;
mod worker;

pub use policy::{Policy, Step};
pub(crate) use worker::panic_text;

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    emotion::Probabilities,
    engine::{Classifier, EngineError, EngineInfo},
    image::Face,
    metrics::{Metrics, Rejected},
};

/// Builds an engine on the thread that calls it, and sets that thread up for it.
pub type Factory = dyn Fn() -> Result<Box<dyn Classifier>, EngineError> + Send + Sync;

/// How a batcher is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Worker threads, each with an engine of its own.
    pub workers: NonZeroUsize,
    /// How batches are formed.
    pub policy: Policy,
    /// Faces that may wait; one more is refused.
    pub queue: usize,
}

/// The answer for one face and how it came about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classified {
    /// The seven probabilities.
    pub probabilities: Probabilities,
    /// Wait for a worker.
    pub queue: Duration,
    /// The batch's time in the engine.
    pub infer: Duration,
    /// Faces in that batch.
    pub batch: usize,
}

/// Why a face was not classified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClassifyError {
    /// As many faces wait as may.
    #[error("the queue is full")]
    QueueFull,
    /// The batcher is shut.
    #[error("the batcher is shut")]
    Closed,
    /// The deadline passed before the answer was there.
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

struct Job {
    face: Face,
    reply: oneshot::Sender<Result<Classified, ClassifyError>>,
    queued: Instant,
    deadline: Instant,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Workers waiting for work, each with an engine in hand.
    idle: usize,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    layout: Layout,
    metrics: Arc<Metrics>,
    /// Workers that have an engine.
    healthy: AtomicUsize,
    /// Since when each worker is inside its engine.
    watches: Vec<watch::Watch>,
}

impl Shared {
    /// A panic cannot happen while the lock is held with the queue half changed, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }
}

impl Drop for Shared {
    /// What is left, if the last engine failed while the queue was shut, waits no more.
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.lock().jobs).len();
        self.metrics
            .queue_depth
            .sub(i64::try_from(left).unwrap_or(i64::MAX));
    }
}

/// The handle. Dropping it shuts the queue; the workers finish what waits in it and end.
pub struct Batcher {
    shared: Arc<Shared>,
    info: EngineInfo,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Batcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher")
            .field("info", &self.info)
            .field("layout", &self.shared.layout)
            .finish()
    }
}

impl Batcher {
    /// Starts the workers, lets each build and warm up its engine, and returns when all are ready. Blocks.
    ///
    /// # Errors
    /// A worker's [`StartError`], with all threads stopped again.
    pub fn start(factory: &Arc<Factory>, layout: Layout, metrics: &Arc<Metrics>) -> Result<Self, StartError> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            layout,
            metrics: Arc::clone(metrics),
            healthy: AtomicUsize::new(0),
            watches: std::iter::repeat_with(watch::Watch::default)
                .take(layout.workers.get())
                .collect(),
        });
        let (report, ready) = mpsc::channel();
        let mut threads = Vec::with_capacity(layout.workers.get());
        let mut outcome = Ok(());
        for n in 0..layout.workers.get() {
            let (shared, factory, report) = (Arc::clone(&shared), Arc::clone(factory), report.clone());
            let spawned = std::thread::Builder::new()
                .name(format!("fer-infer-{n}"))
                .spawn(move || worker::run(&shared, n, &*factory, report));
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(e) => {
                    outcome = Err(StartError::Thread(e));
                    break;
                }
            }
        }
        drop(report);
        // Every worker reports exactly once, so the iteration ends when all have.
        let mut info = None;
        for result in ready {
            match result {
                Ok(i) => info = Some(i),
                Err(e) => outcome = outcome.and(Err(e)),
            }
        }
        match (outcome, info) {
            (Ok(()), Some(info)) => Ok(Self {
                shared,
                info,
                threads: Mutex::new(threads),
            }),
            (outcome, _) => {
                shared.close();
                for thread in threads {
                    let _ = thread.join();
                }
                Err(outcome
                    .err()
                    .unwrap_or(StartError::Panic("no worker reported".to_owned())))
            }
        }
    }

    /// What the workers run.
    #[must_use]
    pub const fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Whether at least one worker has an engine.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed) > 0
    }

    /// For how long the slowest worker has been inside its engine, with one batch or building it anew: zero if
    /// all are outside. An engine that hangs cannot be ended from here; only the process can.
    #[must_use]
    pub fn longest_in_engine(&self) -> Duration {
        let now = Instant::now();
        let times = self.shared.watches.iter().map(|watch| watch.elapsed(now));
        times.max().unwrap_or_default()
    }

    /// Queues a face, from any thread. Dropping what it returns takes the face out again, unless a worker has begun.
    ///
    /// # Errors
    /// [`ClassifyError::QueueFull`] and [`ClassifyError::Closed`].
    pub fn submit(&self, face: Face, deadline: Instant) -> Result<Pending, ClassifyError> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            face,
            reply,
            queued: Instant::now(),
            deadline,
        };
        let mut queue = self.shared.lock();
        if queue.closed {
            return Err(ClassifyError::Closed);
        }
        if queue.jobs.len() >= self.shared.layout.queue {
            drop(queue);
            self.shared.metrics.reject(Rejected::QueueFull);
            return Err(ClassifyError::QueueFull);
        }
        queue.jobs.push_back(job);
        self.shared.metrics.queue_depth.inc();
        // A worker that is not idle looks into the queue by itself; a call to wake nobody is a system call nevertheless.
        let idle = queue.idle > 0;
        drop(queue);
        if idle {
            self.shared.wake.notify_one();
        }
        Ok(Pending { answer, deadline })
    }

    /// Shuts the queue, lets the workers finish what waits in it and waits for them to end. Blocks.
    pub fn shutdown(&self) {
        self.shared.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A worker catches what the engine throws; nothing is left to report here.
            let _ = thread.join();
        }
    }
}

/// A face that was queued.
#[derive(Debug)]
pub struct Pending {
    answer: oneshot::Receiver<Result<Classified, ClassifyError>>,
    deadline: Instant,
}

impl Pending {
    /// Waits for the answer, until the deadline at most.
    ///
    /// # Errors
    /// See [`ClassifyError`].
    pub async fn answer(self) -> Result<Classified, ClassifyError> {
        match tokio::time::timeout_at(self.deadline.into(), self.answer).await {
            Ok(Ok(result)) => result,
            // The worker dropped the job without an answer: it skipped it, or it is gone.
            Ok(Err(_)) if Instant::now() >= self.deadline => Err(ClassifyError::Deadline),
            Ok(Err(_)) => Err(ClassifyError::Closed),
            Err(_) => Err(ClassifyError::Deadline),
        }
    }
}

impl Drop for Batcher {
    /// Does not wait: this may run on an async thread when a reload lets go of the old model.
    fn drop(&mut self) {
        self.shared.close();
    }
}

#[cfg(test)]
mod tests;
