//! A bounded pool of OS threads for decoding and face detection, apart from the async threads, which must not compute
//! for long, and from the engines' threads.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::sync::{Semaphore, oneshot};

use crate::{
    observability::metrics::{Metrics, Rejected},
    panics,
};

type Job = Box<dyn FnOnce() + Send>;

/// Units of queued bytes for each thread: two jobs of any size, or this number of small ones. A thread must find its next
/// job in the queue: with space for only two small ones, it waited for the async threads after every two.
const UNITS_PER_THREAD: u32 = 128;
/// Bytes for one unit.
const UNIT_BYTES: usize = 4 << 10;

/// The pool. Its threads end when it is dropped.
#[derive(Debug)]
pub(crate) struct DecodePool {
    jobs: crossbeam_channel::Sender<Job>,
    /// Limits the bytes held by queued jobs, which keep them even if their client disconnects. Callers wait for a permit;
    /// if the client disconnects first, its bytes are freed with the future.
    units: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// Guards a queued job. Exactly one side sets `begun`: the thread, which then runs the job, or this guard on drop, which
/// cancels it.
struct QueuedJob<'a> {
    begun: Arc<AtomicBool>,
    deadline: Instant,
    metrics: &'a Metrics,
}

impl Drop for QueuedJob<'_> {
    fn drop(&mut self) {
        if !self.begun.swap(true, Ordering::Relaxed) {
            self.metrics.reject(if Instant::now() >= self.deadline {
                Rejected::Deadline
            } else {
                Rejected::ClientGone
            });
        }
    }
}

/// The job panicked or the pool is gone. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pool thread failed: {0}")]
pub(crate) struct PoolError(pub(crate) String);

impl DecodePool {
    /// Starts that number of threads. Jobs that are dropped before they begin are counted in `fer_rejected_total`.
    pub(crate) fn start(name: &str, threads: NonZeroUsize, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (jobs, queue) = crossbeam_channel::unbounded::<Job>();
        for n in 0..threads.get() {
            let queue = queue.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{n}"))
                .spawn(move || queue.into_iter().for_each(|job| job()))?;
        }
        Ok(Self {
            jobs,
            units: Arc::new(Semaphore::new(threads.get() * UNITS_PER_THREAD as usize)),
            metrics,
        })
    }

    /// Runs `work`, which holds `bytes` in memory, on the pool. Dropping the future before a thread has begun cancels the
    /// work; that counts as a passed deadline from `deadline` on, as a disconnected client before.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let begun = Arc::new(AtomicBool::new(false));
        let _queued = QueuedJob {
            begun: Arc::clone(&begun),
            deadline,
            metrics: &self.metrics,
        };
        let gone = || PoolError("the threads of the pool are gone".to_owned());
        let units = Arc::clone(&self.units)
            .acquire_many_owned(units_for(bytes))
            .await
            .map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            let _units = units;
            if !begun.swap(true, Ordering::Relaxed) {
                // A decoder's panic must cost one request and not a thread.
                let _ = reply.send(panics::catch(work).map_err(PoolError));
            }
        });
        self.jobs.send(job).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Units for a job that holds that number of bytes, at most half of a thread's.
fn units_for(bytes: usize) -> u32 {
    let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
    units.clamp(1, UNITS_PER_THREAD / 2)
}

#[cfg(test)]
mod tests;
