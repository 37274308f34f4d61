//! The warning about overload: at most one log line a second, with the number of refused requests. The line of each refused
//! request is at level debug, since an overloaded server refuses thousands a second.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Least time between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Requests refused because of overload since the last line, and the time of that line.
#[derive(Debug, Default)]
pub(crate) struct OverloadLog(Mutex<(u64, Option<Instant>)>);

impl OverloadLog {
    /// Counts a refused request, and returns the number to log if a line is due. Requests refused within a second after a
    /// line are part of the next line, which the next refusal writes; `fer_rejected_total` is always exact.
    pub(crate) fn count(&self, now: Instant) -> Option<u64> {
        let mut guard = self.0.lock();
        let (count, logged) = &mut *guard;
        *count += 1;
        if logged.is_some_and(|at| now.saturating_duration_since(at) < INTERVAL) {
            return None;
        }
        *logged = Some(now);
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_at_once_and_later_ones_once_a_second_together() {
        let (log, start) = (OverloadLog::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        let logged: Vec<_> = [0, 0, 1, 999, 1000, 1001, 1500, 5000]
            .map(|ms| log.count(after(ms)))
            .into_iter()
            .collect();
        assert_eq!(logged, [Some(1), None, None, None, Some(4), None, None, Some(3)]);
    }
}
