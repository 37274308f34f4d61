//! The threads on which pictures are decoded: a fixed number, apart from the async threads (which must
//! never compute for long) and from the engines' threads.

use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tokio::sync::{Semaphore, oneshot};

use crate::batcher::panic_text;

type Work = Box<dyn FnOnce() + Send>;

/// A bounded pool of OS threads. They end when the pool is dropped.
#[derive(Debug)]
pub struct DecodePool {
    work: crossbeam_channel::Sender<Work>,
    /// Twice as many as there are threads, so that a thread finds its next picture waiting. Who gets none
    /// waits in line, and leaves the line when its client goes.
    slots: Arc<Semaphore>,
}

/// The work panicked or the pool is gone. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("decoding failed: {0}")]
pub struct PoolError(pub String);

impl DecodePool {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start(threads: NonZeroUsize) -> std::io::Result<Self> {
        Self::named("fer-decode", threads)
    }

    /// The same with threads of another name.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn named(name: &str, threads: NonZeroUsize) -> std::io::Result<Self> {
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
            slots: Arc::new(Semaphore::new(threads.get() * 2)),
        })
    }

    /// Runs `work` on the pool. Dropping the future before a thread has begun means that none will.
    ///
    /// # Errors
    /// [`PoolError`] if the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let gone = || PoolError("the decoding threads are gone".to_owned());
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        let job: Work = Box::new(move || {
            let _slot = slot;
            if !reply.is_closed() {
                // A panic may be a decoder's bug; it must cost one request and not a thread.
                let result = catch_unwind(AssertUnwindSafe(work)).map_err(|p| PoolError(panic_text(&*p)));
                let _ = reply.send(result);
            }
        });
        self.work.send(job).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_one_answer_and_no_thread() {
        let pool = DecodePool::start(NonZeroUsize::MIN).unwrap();
        for _ in 0..5 {
            let panicked = pool.run(|| -> u8 { panic!("a decoder's bug") }).await;
            assert_eq!(panicked, Err(PoolError("a decoder's bug".to_owned())));
        }
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn who_leaves_the_line_is_never_worked_for() {
        use std::sync::mpsc::channel;
        let pool = Arc::new(DecodePool::start(NonZeroUsize::MIN).unwrap());
        let (open, gate) = channel::<()>();
        let (began, begun) = oneshot::channel();
        let busy = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                pool.run(move || {
                    let _ = began.send(());
                    gate.recv()
                })
                .await
            })
        };
        begun.await.unwrap();
        let (tell, told) = channel();
        let mut leaves = Box::pin(pool.run(move || tell.send(())));
        // One poll hands the work to the thread's queue, behind the busy one.
        tokio::select! { biased; _ = &mut leaves => unreachable!(), () = std::future::ready(()) => {} }
        drop(leaves);
        open.send(()).unwrap();
        busy.await.unwrap().unwrap().unwrap();
        pool.run(|| ()).await.unwrap();
        assert!(told.recv().is_err(), "the work was done for nobody");
    }
}
