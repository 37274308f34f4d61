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
mod tests {
    use std::time::Duration;

    use super::*;

    fn pool() -> DecodePool {
        DecodePool::start(
            "fer-decode",
            NonZeroUsize::MIN,
            Arc::new(Metrics::new([]).unwrap()),
        )
        .unwrap()
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer_and_no_thread() {
        let pool = pool();
        for _ in 0..5 {
            let panicked = pool.run(0, later(), || -> u8 { panic!("a decoder's bug") }).await;
            assert_eq!(panicked, Err(PoolError("a decoder's bug".to_owned())));
        }
        assert_eq!(pool.run(0, later(), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_cancelled_job_never_runs() {
        use std::sync::mpsc::channel;
        let pool = Arc::new(pool());
        let (open, gate) = channel::<()>();
        let (began, begun) = oneshot::channel();
        let busy = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                pool.run(0, later(), move || {
                    let _ = began.send(());
                    gate.recv()
                })
                .await
            })
        };
        begun.await.unwrap();
        let (tell, told) = channel();
        for deadline in [later(), Instant::now()] {
            let tell = tell.clone();
            let mut leaves = Box::pin(pool.run(0, deadline, move || tell.send(())));
            // One poll hands the work to the thread's queue, behind the busy one.
            tokio::select! { biased; _ = &mut leaves => unreachable!(), () = std::future::ready(()) => {} }
            drop(leaves);
        }
        drop(tell);
        open.send(()).unwrap();
        busy.await.unwrap().unwrap().unwrap();
        pool.run(0, later(), || ()).await.unwrap();
        assert!(told.recv().is_err(), "a cancelled job ran");
        let text = pool.metrics.render().unwrap();
        for reason in ["client_gone", "deadline"] {
            let counted = format!("fer_rejected_total{{reason=\"{reason}\"}} 1\n");
            assert!(text.contains(&counted), "{counted}{text}");
        }
    }

    #[test]
    fn units_by_size() {
        for (bytes, units) in [
            (0, 1),
            (1, 1),
            (4096, 1),
            (4097, 2),
            (262_144, 64),
            (20 << 20, 64),
            (usize::MAX, 64),
        ] {
            assert_eq!(units_for(bytes), units, "{bytes}");
        }
    }

    /// Behind a thread that is held, that number of jobs is queued; the next waits for a permit.
    #[tokio::test]
    async fn many_small_jobs_or_two_large_ones_are_queued() {
        use std::sync::mpsc::channel;
        for (bytes, queued) in [(2_000, UNITS_PER_THREAD), (10 << 20, 2)] {
            let pool = pool();
            let (open, gate) = channel::<()>();
            let gate = Arc::new(std::sync::Mutex::new(gate));
            let mut waiting: Vec<_> = (0..=queued)
                .map(|_| {
                    let gate = Arc::clone(&gate);
                    Box::pin(pool.run(bytes, later(), move || gate.lock().unwrap().recv()))
                })
                .collect();
            for future in &mut waiting {
                tokio::select! { biased; _ = future => unreachable!(), () = std::future::ready(()) => {} }
            }
            assert_eq!(pool.units.available_permits(), 0);
            let begun = queued as usize - pool.jobs.len();
            assert!(begun <= 1, "{begun} of {queued} have left the queue");
            drop(open);
            for future in waiting {
                future.await.unwrap().unwrap_err();
            }
        }
    }
}
