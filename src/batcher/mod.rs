//! A bounded queue of faces in front of OS threads that each own an engine.
//!
//! A batch is what has queued while the engine was busy. A queued job is small: a [`Face`], a reply channel and a
//! deadline. Tensors stay in the engine, and an engine stays on the thread that built it. [`Policy`] decides how many
//! faces a free worker takes and is pure; [`worker`] carries it out.

mod policy;
mod shared;
mod stuck;
mod worker;

pub(crate) use policy::Policy;
pub(crate) use shared::{BatcherError, BatcherOptions, Classified, EngineFactory, StartError};
pub(crate) use worker::run_engine;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use fer_engine::EngineInfo;
use fer_image::Face;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::observability::metrics::{Metrics, Rejected};
use shared::{Job, Shared};
use stuck::EngineWatch;
use worker::Worker;

/// The handle. Dropping it closes the queue; the workers finish the queued jobs and end.
pub(crate) struct Batcher {
    shared: Arc<Shared>,
    info: EngineInfo,
    watches: Vec<Arc<EngineWatch>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Batcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher")
            .field("info", &self.info)
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Batcher {
    /// Starts the workers, lets each build and warm up its engine, and returns when all are ready. If one fails, all are
    /// stopped again. Blocks.
    pub(crate) fn start(
        factory: &Arc<EngineFactory>,
        options: BatcherOptions,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            options,
            metrics: Arc::clone(metrics),
            healthy: AtomicUsize::new(0),
        });
        let (report, reports) = mpsc::channel();
        let (mut threads, mut watches) = (Vec::new(), Vec::new());
        let mut outcome = Ok(());
        for n in 0..options.workers.get() {
            let watch = Arc::<EngineWatch>::default();
            let worker = Worker {
                shared: Arc::clone(&shared),
                watch: Arc::clone(&watch),
                factory: Arc::clone(factory),
            };
            let report = report.clone();
            let spawned = std::thread::Builder::new()
                .name(format!("fer-infer-{n}"))
                .spawn(move || worker.run(report));
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(e) => {
                    outcome = Err(StartError::Thread(e));
                    break;
                }
            }
            watches.push(watch);
        }
        drop(report);
        // Every worker reports exactly once, so the iteration ends when all have.
        let mut info = None;
        for result in reports {
            match result {
                Ok(i) => info = Some(i),
                Err(e) => outcome = outcome.and(Err(e)),
            }
        }
        let no_report = || StartError::Panic("no worker reported".to_owned());
        match outcome.and_then(|()| info.ok_or_else(no_report)) {
            Ok(info) => Ok(Self {
                shared,
                info,
                watches,
                threads: Mutex::new(threads),
            }),
            Err(error) => {
                shared.close();
                for thread in threads {
                    let _ = thread.join();
                }
                Err(error)
            }
        }
    }

    pub(crate) const fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Whether at least one worker has an engine.
    pub(crate) fn healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed) > 0
    }

    /// For how long the slowest worker has been inside its engine, running a batch or rebuilding it; zero if all are
    /// outside. An engine that hangs cannot be stopped from here: only the end of the process does that.
    pub(crate) fn longest_in_engine(&self) -> Duration {
        let now = Instant::now();
        let times = self.watches.iter().map(|watch| watch.elapsed(now));
        times.max().unwrap_or_default()
    }

    /// Queues a face, from any thread. Dropping the result cancels the job unless a worker has taken it.
    pub(crate) fn submit(&self, face: Face, deadline: Instant) -> Result<Pending, BatcherError> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            face,
            reply,
            queued: Instant::now(),
            deadline,
        };
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            return Err(BatcherError::Closed);
        }
        if queue.jobs.len() >= self.shared.options.queue {
            drop(queue);
            self.shared.metrics.reject(Rejected::QueueFull);
            return Err(BatcherError::QueueFull);
        }
        queue.jobs.push_back(job);
        self.shared.metrics.queue_depth.inc();
        // A busy worker looks into the queue by itself, and notifying costs a system call even if no thread waits.
        let idle = queue.idle > 0;
        drop(queue);
        if idle {
            self.shared.wake.notify_one();
        }
        Ok(Pending { answer, deadline })
    }

    /// Closes the queue and waits until the workers have finished the queued jobs. Blocks.
    pub(crate) fn shutdown(&self) {
        self.shared.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // A worker catches its engine's panics, so there is nothing to report here.
            let _ = thread.join();
        }
    }
}

impl Drop for Batcher {
    /// Does not wait: this may run on an async thread when a reload drops the old model.
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// A queued face.
#[derive(Debug)]
pub(crate) struct Pending {
    answer: oneshot::Receiver<Result<Classified, BatcherError>>,
    deadline: Instant,
}

impl Pending {
    /// Waits for the answer, until the deadline at most.
    pub(crate) async fn answer(self) -> Result<Classified, BatcherError> {
        match tokio::time::timeout_at(self.deadline.into(), self.answer).await {
            Ok(Ok(result)) => result,
            // The worker dropped the job without an answer: it skipped it, or the batcher is gone.
            Ok(Err(_)) if Instant::now() >= self.deadline => Err(BatcherError::Deadline),
            Ok(Err(_)) => Err(BatcherError::Closed),
            Err(_) => Err(BatcherError::Deadline),
        }
    }
}

#[cfg(test)]
mod tests;
