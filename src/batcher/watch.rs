//! Since when a worker has been inside its engine.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// One worker's watch; the clock is monotonic, so that setting the system's time changes nothing.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Option<Instant>>);

/// Stops the watch when dropped, also by a panic.
pub(super) struct Inside<'a>(&'a Watch);

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the watch.
    pub(super) fn enter(&self) -> Inside<'_> {
        *self.lock() = Some(Instant::now());
        Inside(self)
    }

    /// Zero if the worker is outside of its engine.
    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        self.lock()
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
