//! For how long a worker has been inside its engine, so that `/livez` can report an engine that hangs.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// One worker's stopwatch. Its clock is monotonic: setting the system's time changes nothing.
#[derive(Debug, Default)]
pub(super) struct EngineWatch(Mutex<Option<Instant>>);

impl EngineWatch {
    /// Runs `work`, which contains the engine's panics.
    pub(super) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        *self.0.lock() = Some(Instant::now());
        let done = work();
        *self.0.lock() = None;
        done
    }

    /// Zero if the worker is outside its engine.
    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        let since = *self.0.lock();
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}
