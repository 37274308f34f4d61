//! The threads on which pictures are decoded: a fixed number, apart from the async threads (which must
//! never compute for long) and from the engines' threads.

use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::sync::{Semaphore, oneshot};

use crate::{
    batcher::panic_text,
    metrics::{Metrics, Rejected},
};

type Work = Box<dyn FnOnce() + Send>;

/// Room in a thread's queue, in units of [`UNIT`]: two pieces of work of any size, or this many small ones. A thread
/// finds its next picture waiting; with room for two small ones only, it waited for the async threads after every two.
const ROOM: u32 = 128;
/// Bytes for one unit of room.
const UNIT: usize = 4 << 10;

/// A bounded pool of OS threads. They end when the pool is dropped.
#[derive(Debug)]
pub struct DecodePool {
    work: crossbeam_channel::Sender<Work>,
    /// Work in a thread's queue keeps its bytes even if its client has gone, so there is room for so many bytes. Who finds
    /// none waits in line, and leaves the line with its bytes when its client goes.
    room: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// Somebody waits for work. Whoever sets `begun` first decides: the thread, that it is done, or who waits by leaving, that it never will be.
struct Line<'a> {
    begun: Arc<AtomicBool>,
    deadline: Instant,
    metrics: &'a Metrics,
}

impl Drop for Line<'_> {
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

/// The work panicked or the pool is gone. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("decoding failed: {0}")]
pub struct PoolError(pub String);

impl DecodePool {
    /// Starts so many threads of that name. Work that is dropped before it began is counted in `fer_rejected_total`.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start(name: &str, threads: NonZeroUsize, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (work, queue) = crossbeam_channel::unbounded::<Work>();
        for n in 0..threads.get() {
            let queue = queue.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{n}"))
                .spawn(move || {
                    for work in queue {
                        work();
                    }
                })?;
        }
        Ok(Self {
            work,
            room: Arc::new(Semaphore::new(threads.get() * ROOM as usize)),
            metrics,
        })
    }

    /// Runs `work`, which holds `bytes` in memory, on the pool. Dropping the future before a thread has begun means that none
    /// will; from `deadline` on that counts as a deadline that passed, before it as a client that left.
    ///
    /// # Errors
    /// [`PoolError`] if the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let begun = Arc::new(AtomicBool::new(false));
        let _line = Line {
            begun: Arc::clone(&begun),
            deadline,
            metrics: &self.metrics,
        };
        let gone = || PoolError("the decoding threads are gone".to_owned());
        let room = Arc::clone(&self.room)
            .acquire_many_owned(room_for(bytes))
            .await
            .map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        let job: Work = Box::new(move || {
            let _room = room;
            if !begun.swap(true, Ordering::Relaxed) {
                // A panic may be a decoder's bug; it must cost one request and not a thread.
                let result = catch_unwind(AssertUnwindSafe(work)).map_err(|p| PoolError(panic_text(&*p)));
                let _ = reply.send(result);
            }
        });
        self.work.send(job).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Units of room for work that holds so many bytes, at most half of a thread's.
fn room_for(bytes: usize) -> u32 {
    let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
    units.clamp(1, ROOM / 2)
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
    async fn who_leaves_the_line_is_never_worked_for() {
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
        assert!(told.recv().is_err(), "the work was done for nobody");
        let text = pool.metrics.render().unwrap();
        for reason in ["client_gone", "deadline"] {
            let counted = format!("fer_rejected_total{{reason=\"{reason}\"}} 1\n");
            assert!(text.contains(&counted), "{counted}{text}");
        }
    }
    #[test]
    fn room_by_size() {
        for (bytes, units) in [
            (0, 1),
            (1, 1),
            (4096, 1),
            (4097, 2),
            (262_144, 64),
            (20 << 20, 64),
            (usize::MAX, 64),
        ] {
            assert_eq!(room_for(bytes), units, "{bytes}");
        }
    }

    /// Behind a thread that is held, so many are handed over; the next waits in line.
    #[tokio::test]
    async fn many_small_ones_or_two_large_ones_wait_at_the_thread() {
        use std::sync::mpsc::channel;
        for (bytes, handed) in [(2_000, ROOM), (10 << 20, 2)] {
            let pool = pool();
            let (open, gate) = channel::<()>();
            let gate = Arc::new(std::sync::Mutex::new(gate));
            let mut line: Vec<_> = (0..=handed)
                .map(|_| {
                    let gate = Arc::clone(&gate);
                    Box::pin(pool.run(bytes, later(), move || gate.lock().unwrap().recv()))
                })
                .collect();
            for waiting in &mut line {
                tokio::select! { biased; _ = waiting => unreachable!(), () = std::future::ready(()) => {} }
            }
            assert_eq!(pool.room.available_permits(), 0);
            let begun = handed as usize - pool.work.len();
            assert!(begun <= 1, "{begun} of {handed} have left the queue");
            drop(open);
            for waiting in line {
                waiting.await.unwrap().unwrap_err();
            }
        }
    }
}
