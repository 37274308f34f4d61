//! The adaptive limit on requests in flight.
//!
//! To a client, this limit is a waiting time: `n` requests in flight at `r` answers a second wait `n / r` seconds
//! (Little's law). No single number suits processors whose speeds differ by a factor of four. The limit is therefore the
//! number of requests answered in [`TARGET_WAIT`] at the best recent rate, clamped to `min..=max`. After an idle time
//! the first answer resets it to `min`.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::{sync::Semaphore, time::Instant};

/// Equals 192 requests at 1,300 a second, the rate at which 192 was measured to be best (docs/performance.md).
const TARGET_WAIT: Duration = Duration::from_millis(150);
/// Shortest time over which a rate is measured.
const SPAN: Duration = Duration::from_millis(250);
/// How long a measured rate counts. A short moment in which something else uses the processor must not lower the limit.
const MEMORY: Duration = Duration::from_secs(10);

/// Holds the permits, and adds and removes some by the rate of answers.
#[derive(Debug)]
pub(crate) struct InFlightLimit {
    permits: Arc<Semaphore>,
    min: usize,
    max: usize,
    /// Exports the limit in force.
    gauge: IntGauge,
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    /// Permits there are, acquired or not.
    limit: usize,
    began: Instant,
    answers: u32,
    /// When a rate was measured, and its answers a second; oldest first.
    rates: VecDeque<(Instant, f64)>,
}

impl InFlightLimit {
    /// Starts at `min`. A fixed limit if `min` equals `max`.
    pub(crate) fn new(min: usize, max: usize, gauge: IntGauge) -> Self {
        let limit = Self {
            permits: Arc::new(Semaphore::new(min)),
            min,
            max: max.max(min),
            gauge,
            counted: Mutex::new(Counted {
                limit: min,
                began: Instant::now(),
                answers: 0,
                rates: VecDeque::new(),
            }),
        };
        limit.export(min);
        limit
    }

    pub(crate) const fn permits(&self) -> &Arc<Semaphore> {
        &self.permits
    }

    /// Counts a successful answer to a request that had a permit. Refusals and errors are fast and say nothing about the
    /// waiting time.
    pub(crate) fn answered(&self) {
        if self.min == self.max {
            return;
        }
        let mut counted = self.counted.lock();
        counted.answers = counted.answers.saturating_add(1);
        let now = Instant::now();
        let span = now - counted.began;
        if span < SPAN {
            return;
        }
        let rate = f64::from(counted.answers) / span.as_secs_f64();
        counted.rates.push_back((now, rate));
        (counted.began, counted.answers) = (now, 0);
        while counted.rates.front().is_some_and(|(at, _)| now - *at > MEMORY) {
            counted.rates.pop_front();
        }
        let best = counted.rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive; clamped next
        let wanted = ((best * TARGET_WAIT.as_secs_f64()) as usize).clamp(self.min, self.max);
        if wanted > counted.limit {
            self.permits.add_permits(wanted - counted.limit);
            counted.limit = wanted;
        } else {
            // Only free permits can be removed now; the others follow at a later measurement.
            counted.limit -= self.permits.forget_permits(counted.limit - wanted);
        }
        self.export(counted.limit);
    }

    fn export(&self, limit: usize) {
        self.gauge.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    fn limit(min: usize, max: usize) -> InFlightLimit {
        InFlightLimit::new(min, max, IntGauge::new("limit", "of a test").unwrap())
    }

    /// `answers` in one second, evenly spaced.
    async fn second(limit: &InFlightLimit, answers: u32) {
        for _ in 0..answers {
            advance(Duration::from_secs(1) / answers).await;
            limit.answered();
        }
    }

    fn permits(limit: &InFlightLimit) -> i64 {
        let exported = limit.gauge.get();
        assert_eq!(limit.permits.available_permits() as i64, exported);
        exported
    }

    #[tokio::test(start_paused = true)]
    async fn a_faster_server_admits_more() {
        let limit = limit(192, 768);
        assert_eq!(permits(&limit), 192);
        second(&limit, 1000).await;
        assert_eq!(permits(&limit), 192, "150 is below the minimum");
        second(&limit, 3000).await;
        assert!((448..=452).contains(&permits(&limit)), "{}", permits(&limit));
        second(&limit, 50_000).await;
        assert_eq!(permits(&limit), 768, "clamped to the maximum");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_moment_does_not_lower_the_limit_and_a_slow_time_does() {
        let limit = limit(100, 1000);
        second(&limit, 4000).await;
        second(&limit, 100).await;
        assert!(permits(&limit) > 590, "{}", permits(&limit));
        for _ in 0..11 {
            second(&limit, 100).await;
        }
        assert_eq!(permits(&limit), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_time_counts_as_slow() {
        let limit = limit(100, 1000);
        second(&limit, 4000).await;
        sleep(Duration::from_secs(60)).await;
        limit.answered();
        assert_eq!(permits(&limit), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn acquired_permits_are_removed_when_they_are_released() {
        let limit = limit(1, 1000);
        second(&limit, 1000).await;
        let full = limit.gauge.get();
        assert!((148..=152).contains(&full), "{full}");
        let acquired = limit.permits.clone().try_acquire_many_owned(full as u32).unwrap();
        sleep(Duration::from_secs(60)).await;
        limit.answered();
        assert_eq!((limit.gauge.get(), limit.permits.available_permits()), (full, 0));
        drop(acquired);
        sleep(Duration::from_secs(1)).await;
        limit.answered();
        assert_eq!(permits(&limit), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_configured_limit_is_fixed() {
        let limit = limit(7, 7);
        second(&limit, 50_000).await;
        assert_eq!(permits(&limit), 7);
    }
}
