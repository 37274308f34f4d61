//! How many faces a free worker takes from the queue, and when.

use std::{num::NonZeroUsize, time::Duration};

/// The batching policy. It holds no state and reads no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Most faces in a batch.
    pub(crate) max_batch: NonZeroUsize,
    /// How long the oldest face may wait for others to fill its batch. 0 on a CPU, where waiting costs more
    /// than a larger batch gains; about a millisecond on a GPU.
    pub(crate) linger: Duration,
}

/// What a free worker does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Take up to that number of faces and run them.
    Take(usize),
    /// Wait for faces.
    Sleep,
    /// Wait for more faces, at most that long.
    Linger(Duration),
}

impl Policy {
    /// What a free worker does while `queued` faces wait, the oldest of them for `oldest`, and `idle` workers
    /// (itself included) are free.
    ///
    /// Idle workers share: two faces and two idle workers make two batches of one, because on a CPU two threads with
    /// one face each end before one thread with two. With a linger they do not share: the purpose of lingering is a full
    /// batch, and the rest of a shared one would linger again.
    pub(super) fn decide(&self, queued: usize, oldest: Duration, idle: usize) -> Action {
        if queued == 0 {
            return Action::Sleep;
        }
        if queued < self.max_batch.get()
            && let Some(left) = self.linger.checked_sub(oldest)
            && !left.is_zero()
        {
            return Action::Linger(left);
        }
        let share = if self.linger.is_zero() { idle.max(1) } else { 1 };
        Action::Take(queued.div_ceil(share).min(self.max_batch.get()))
    }
}

#[cfg(test)]
mod tests;
