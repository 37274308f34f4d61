//! A bounded pool of OS threads, each with a decoder: apart from the async threads, which must not compute for long, and
//! from the engines' threads.

mod queue;

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use fer_image::helper::{Bounds, Decoder, Done, Failure, Task, Work};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use queue::Queue;

use super::{DecodeError, EncodedImage};
use crate::{
    observability::metrics::{Metrics, Rejected},
    panics,
};

enum Job {
    Compute(Box<dyn FnOnce() + Send>),
    Decode(DecodeJob),
}

struct DecodeJob {
    image: EncodedImage,
    work: Work,
    bounds: Bounds,
    ticket: Ticket,
    finish: Box<dyn FnOnce(Decoded) + Send>,
}

/// A queued job's right to begin, and its part of the queue.
struct Ticket {
    begun: Arc<AtomicBool>,
    _units: OwnedSemaphorePermit,
}

impl Ticket {
    /// False if the job is cancelled.
    fn begin(&self) -> bool {
        !self.begun.swap(true, Ordering::Relaxed)
    }
}

/// What a decoder made of an image, or why the image has no file to decode.
pub(super) type Decoded = Result<Done, DecodeError>;

/// Images up to this number of bytes go to a decoder together, if several wait: then they share the change from one process to
/// the other and back.
const SMALL: usize = 16 << 10;
/// At most that many.
const TOGETHER: usize = 8;

/// Units of queued bytes for each thread: two jobs of any size, or this number of small ones. A thread must find its next
/// job in the queue: with space for only two small ones, it waited for the async threads after every two.
const UNITS_PER_THREAD: u32 = 128;
/// Bytes for one unit.
const UNIT_BYTES: usize = 4 << 10;

/// The pool. Its threads end, and with them their decoders, when it is dropped.
#[derive(Debug)]
pub(super) struct DecodePool {
    queue: Arc<Queue<Job>>,
    /// Limits the bytes held by queued jobs, which keep them even if their client disconnects. Callers wait for a permit;
    /// if the client disconnects first, its bytes are freed with the future.
    units: Arc<Semaphore>,
    /// For each thread, when its job began.
    busy: Arc<[Mutex<Option<Instant>>]>,
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
    /// Starts that number of threads, each with a decoder of its own. Jobs that are dropped before they begin are counted
    /// in `fer_rejected_total`.
    pub(super) fn start(
        name: &str,
        threads: NonZeroUsize,
        decoder: impl Fn() -> io::Result<Decoder> + Clone + Send + 'static,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let count = threads.get();
        // Dropping it, on an error, ends the threads that did start.
        let pool = Self {
            queue: Arc::new(Queue::new()),
            units: Arc::new(Semaphore::new(count * UNITS_PER_THREAD as usize)),
            busy: (0..count).map(|_| Mutex::new(None)).collect(),
            metrics,
        };
        let (ready, started) = mpsc::channel();
        for n in 0..count {
            let (queue, busy) = (Arc::clone(&pool.queue), Arc::clone(&pool.busy));
            let (ready, decoder) = (ready.clone(), decoder.clone());
            std::thread::Builder::new()
                .name(format!("{name}-{n}"))
                .spawn(move || {
                    // A helper process ends with the thread that started it, so this thread starts it.
                    let mut decoder = match decoder() {
                        Ok(decoder) => decoder,
                        Err(error) => return drop(ready.send(Err(error))),
                    };
                    let _ = ready.send(Ok(()));
                    drop(ready);
                    while let Some(job) = queue.pop() {
                        *busy[n].lock() = Some(Instant::now());
                        // A panic must cost its requests and not a thread.
                        if let Err(text) = panics::catch(|| work_on(job, &mut decoder, &queue, count)) {
                            tracing::error!(panic = text, "a pool thread panicked");
                        }
                        *busy[n].lock() = None;
                    }
                })?;
        }
        drop(ready);
        started.iter().collect::<io::Result<()>>()?;
        Ok(pool)
    }

    pub(super) fn threads(&self) -> usize {
        self.busy.len()
    }

    /// For how long the slowest thread has been with its job.
    pub(super) fn longest(&self, now: Instant) -> Duration {
        let since = self.busy.iter().filter_map(|busy| *busy.lock()).min();
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Runs `work`, which holds `bytes` in memory, on the pool. Dropping the future before a thread has begun cancels the
    /// work; that counts as a passed deadline from `deadline` on, as a disconnected client before.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        bytes: usize,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.queue(bytes, Duration::ZERO, deadline, |ticket, reply| {
            Job::Compute(Box::new(move || {
                if ticket.begin() {
                    let _ = reply.send(work());
                }
            }))
        })
        .await
    }

    /// Decodes an image on the pool: before images that have waited for less than `after` less than it; `finish` makes the
    /// answer on the decoder's thread. Cancelled like [`DecodePool::compute`].
    pub(super) async fn decode<T: Send + 'static>(
        &self,
        image: EncodedImage,
        work: Work,
        bounds: Bounds,
        after: Duration,
        finish: impl FnOnce(Decoded) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.queue(image.size(), after, bounds.deadline, |ticket, reply| {
            Job::Decode(DecodeJob {
                image,
                work,
                bounds,
                ticket,
                finish: Box::new(move |decoded| drop(reply.send(finish(decoded)))),
            })
        })
        .await
    }

    async fn queue<T>(
        &self,
        bytes: usize,
        after: Duration,
        deadline: Instant,
        job: impl FnOnce(Ticket, oneshot::Sender<T>) -> Job,
    ) -> Result<T, PoolError> {
        let begun = Arc::new(AtomicBool::new(false));
        let _queued = QueuedJob {
            begun: Arc::clone(&begun),
            deadline,
            metrics: &self.metrics,
        };
        let units = Arc::clone(&self.units).acquire_many_owned(units_for(bytes));
        let units = units.await.map_err(|e| PoolError(e.to_string()))?;
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket { begun, _units: units };
        self.queue.push(Instant::now() + after, job(ticket, reply));
        answer
            .await
            .map_err(|_| PoolError("a pool thread panicked".to_owned()))
    }
}

/// Does a job, and small images that wait behind it together with it.
fn work_on(job: Job, decoder: &mut Decoder, queue: &Queue<Job>, threads: usize) {
    let first = match job {
        Job::Compute(compute) => return compute(),
        Job::Decode(job) => job,
    };
    let is_small = |job: &DecodeJob| job.image.size() <= SMALL;
    let mut jobs = vec![first];
    if jobs.iter().all(is_small) {
        let more = queue.pop_more(
            threads,
            TOGETHER - 1,
            |job| matches!(job, Job::Decode(job) if is_small(job)),
        );
        jobs.extend(more.into_iter().filter_map(|job| match job {
            Job::Decode(job) => Some(job),
            Job::Compute(_) => None,
        }));
    }
    jobs.retain(|job| job.ticket.begin());
    let files: Vec<_> = jobs.iter().map(|job| job.image.file()).collect();
    let with_files = jobs.iter().zip(&files);
    let tasks: Vec<_> = with_files
        .filter_map(|(DecodeJob { work, bounds, .. }, file)| {
            let file = file.as_ref().ok()?;
            Some(Task { work, file, bounds })
        })
        .collect();
    let mut results = decoder.run(&tasks).into_iter();
    let mut result = move || {
        let missing = || Done {
            result: Err(Failure::Unavailable("the decoder gave no result".to_owned())),
            processor: Duration::ZERO,
        };
        results.next().unwrap_or_else(missing)
    };
    let decoded: Vec<Decoded> = files.into_iter().map(|file| file.map(|_| result())).collect();
    for (job, decoded) in jobs.into_iter().zip(decoded) {
        (job.finish)(decoded);
    }
}

impl Drop for DecodePool {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Units for a job that holds that number of bytes, at most half of a thread's.
fn units_for(bytes: usize) -> u32 {
    let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
    units.clamp(1, UNITS_PER_THREAD / 2)
}

#[cfg(test)]
mod tests;
