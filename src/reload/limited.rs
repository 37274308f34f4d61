//! Work on files, which a dead mount can hold up for ever.

use std::time::Duration;

use tokio::{task::JoinHandle, time::timeout};
use tokio_util::task::AbortOnDropHandle;

/// Runs one piece of work at a time and waits for each within a limit. Work that passes the limit goes on, since a thread
/// cannot be ended; the next piece begins only after it, so that old content never replaces newer.
pub(super) struct Limited<T> {
    limit: Duration,
    /// Passed its limit.
    late: Option<AbortOnDropHandle<T>>,
}

/// Why work has no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// It, or the work before it, goes on.
    Late,
    Panicked(String),
}

impl<T> Limited<T> {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, late: None }
    }

    pub(super) async fn run(&mut self, begin: impl FnOnce() -> JoinHandle<T>) -> Result<T, Unfinished> {
        if let Some(earlier) = &mut self.late {
            timeout(self.limit, earlier)
                .await
                .map_err(|_| Unfinished::Late)?
                .ok();
            self.late = None;
        }
        let mut work = AbortOnDropHandle::new(begin());
        match timeout(self.limit, &mut work).await {
            Ok(done) => done.map_err(|e| Unfinished::Panicked(e.to_string())),
            Err(_) => {
                self.late = Some(work);
                Err(Unfinished::Late)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_is_left_alone_and_the_next_waits_for_its_end() {
        let limit = Duration::from_secs(5);
        let mut limited = Limited::new(limit);
        assert_eq!(limited.run(|| tokio::spawn(async { 1 })).await, Ok(1));
        let (end, hang) = oneshot::channel();
        let begun = tokio::time::Instant::now();
        let hanging = || tokio::spawn(async { hang.await.unwrap_or(0) });
        assert_eq!(limited.run(hanging).await, Err(Unfinished::Late));
        assert_eq!(begun.elapsed(), limit);
        // Not begun beside it.
        let never = || unreachable!();
        assert_eq!(limited.run(never).await, Err(Unfinished::Late));
        end.send(2).unwrap();
        assert_eq!(limited.run(|| tokio::spawn(async { 3 })).await, Ok(3));
        let panics = || tokio::spawn(async { panic!("made for the test") });
        assert!(matches!(limited.run(panics).await, Err(Unfinished::Panicked(_))));
        assert_eq!(limited.run(|| tokio::spawn(async { 4 })).await, Ok(4));
    }
}
