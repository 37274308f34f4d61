//! For how long a worker has been inside its engine, so that `/livez` can report an engine that hangs.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// One worker's stopwatch. Its clock is monotonic: setting the system's time changes nothing.
#[derive(Debug, Default)]
pub(super) struct EngineWatch(Mutex<Option<Instant>>);

/// Stops the watch when dropped, also by a panic.
pub(super) struct InEngine<'a>(&'a EngineWatch);

impl EngineWatch {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self) -> InEngine<'_> {
        *self.lock() = Some(Instant::now());
        InEngine(self)
    }

    /// Zero if the worker is outside its engine.
    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        self.lock()
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

impl Drop for InEngine<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
