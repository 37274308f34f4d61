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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(max_batch: usize, linger_ms: u64) -> Policy {
        Policy {
            max_batch: NonZeroUsize::new(max_batch).unwrap(),
            linger: Duration::from_millis(linger_ms),
        }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_queued_means_sleep() {
        assert_eq!(policy(8, 0).decide(0, Duration::ZERO, 1), Action::Sleep);
        assert_eq!(policy(8, 5).decide(0, Duration::ZERO, 2), Action::Sleep);
    }

    #[test]
    fn without_linger_what_waits_is_taken_at_once() {
        assert_eq!(policy(8, 0).decide(1, Duration::ZERO, 1), Action::Take(1));
        assert_eq!(policy(8, 0).decide(5, MS, 1), Action::Take(5));
        assert_eq!(policy(8, 0).decide(50, MS, 1), Action::Take(8));
    }

    #[test]
    fn idle_workers_share() {
        assert_eq!(policy(32, 0).decide(2, MS, 2), Action::Take(1));
        assert_eq!(policy(32, 0).decide(5, MS, 2), Action::Take(3));
        assert_eq!(policy(32, 0).decide(64, MS, 4), Action::Take(16));
        assert_eq!(policy(8, 0).decide(64, MS, 4), Action::Take(8));
    }

    #[test]
    fn linger_waits_for_a_full_batch_or_its_end() {
        assert_eq!(policy(8, 5).decide(3, MS, 1), Action::Linger(4 * MS));
        assert_eq!(policy(8, 5).decide(3, 5 * MS, 1), Action::Take(3));
        assert_eq!(policy(8, 5).decide(3, 6 * MS, 1), Action::Take(3));
        assert_eq!(policy(8, 5).decide(8, Duration::ZERO, 1), Action::Take(8));
        // A full batch is not shared: what is left of it would linger.
        assert_eq!(policy(8, 5).decide(8, Duration::ZERO, 2), Action::Take(8));
        assert_eq!(policy(8, 5).decide(3, 5 * MS, 4), Action::Take(3));
    }

    proptest! {
        #[test]
        fn a_worker_never_takes_nothing_or_too_much(
            max in 1usize..300, queued in 1usize..1000, idle in 0usize..64, oldest in 0u64..20, linger in 0u64..20,
        ) {
            match policy(max, linger).decide(queued, Duration::from_millis(oldest), idle) {
                Action::Take(n) => prop_assert!((1..=max.min(queued)).contains(&n)),
                Action::Linger(left) => prop_assert!(queued < max && oldest < linger && !left.is_zero()),
                Action::Sleep => prop_assert!(false, "slept on {queued} faces"),
            }
        }
    }
}
