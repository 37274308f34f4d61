//! The jobs that wait for a thread of a pool.

use std::{cmp::Ordering, collections::BinaryHeap, time::Instant};

use parking_lot::{Condvar, Mutex};

/// A queue in which each job has a rank; the lowest is taken first, of equal ranks the older one.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    jobs: BinaryHeap<Ranked<T>>,
    pushed: u64,
    closed: bool,
}

struct Ranked<T> {
    rank: Instant,
    number: u64,
    job: T,
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue({} jobs)", self.len())
    }
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let state = State {
            jobs: BinaryHeap::new(),
            pushed: 0,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(super) fn push(&self, rank: Instant, job: T) {
        let mut state = self.state.lock();
        let number = state.pushed;
        state.pushed += 1;
        state.jobs.push(Ranked { rank, number, job });
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for a job; `None` once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            match state.jobs.pop() {
                Some(ranked) => return Some(ranked.job),
                None if state.closed => return None,
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// The next jobs, without waiting: as long as they pass the test, and at most a share of 1 / `threads` of all.
    pub(super) fn pop_more(&self, threads: usize, most: usize, mut test: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut state = self.state.lock();
        let most = (state.jobs.len() / threads.max(1)).min(most);
        let mut taken = Vec::with_capacity(most);
        while taken.len() < most
            && state.jobs.peek().is_some_and(|ranked| test(&ranked.job))
            && let Some(ranked) = state.jobs.pop()
        {
            taken.push(ranked.job);
        }
        taken
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().jobs.len()
    }
}

impl<T> Ord for Ranked<T> {
    /// Reversed, since the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.rank, other.number).cmp(&(self.rank, self.number))
    }
}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Ranked<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_lowest_rank_first_and_the_older_of_equals() {
        let (queue, now) = (Queue::new(), Instant::now());
        for (seconds, job) in [(3, "c"), (1, "a"), (3, "d"), (2, "b")] {
            queue.push(now + Duration::from_secs(seconds), job);
        }
        queue.close();
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }
}
