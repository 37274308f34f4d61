//! Overload in the log: a line a second, whatever the number of requests refused. Each refusal's own line is at
//! level debug; at four times what the server can do, thousands a second would say nothing that the first did not.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(1);

/// Requests refused because there was too much work, since the last line about them.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<(u64, Option<Instant>)>);

impl Refusals {
    /// Counts one; how many there were if a line is due `now`. What comes within a second after a line is in the
    /// next one, which the next refusal writes; `fer_rejected_total` is always exact.
    pub(super) fn one_more(&self, now: Instant) -> Option<u64> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, said) = &mut *guard;
        *count += 1;
        if said.is_some_and(|said| now.saturating_duration_since(said) < EVERY) {
            return None;
        }
        *said = Some(now);
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_others_once_a_second_together() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        let said: Vec<_> = [0, 0, 1, 999, 1000, 1001, 1500, 5000]
            .map(|ms| refusals.one_more(after(ms)))
            .into_iter()
            .collect();
        assert_eq!(said, [Some(1), None, None, None, Some(4), None, None, Some(3)]);
    }
}
