//! How many faces are taken, and when.

use proptest::prelude::*;

use super::*;

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
