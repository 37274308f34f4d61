//! How many requests may be in flight, by how many are answered a second.
//!
//! What a limit on requests in flight means to a client is time: a line of `n` requests at `r` answers a second is `n / r`
//! seconds long (Little's law). One number cannot suit processors that differ by four times, so the limit is
//! [`LINE`] of the best rate seen lately, never less than `least` and never more than `most`. After a time
//! in which nothing was asked of the server the first answer makes it `least` again.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus::IntGauge;
use tokio::{sync::Semaphore, time::Instant};

/// How long the line may be. 192 requests at the 1,300 a second on which that number was found (docs/performance.md).
const LINE: Duration = Duration::from_millis(150);
/// Answers are counted for so long at least before they make a rate.
const SPAN: Duration = Duration::from_millis(250);
/// A rate counts for so long: a moment in which something else takes the processor must not shorten the line at once.
const LATELY: Duration = Duration::from_secs(10);

/// Keeps the number of places.
#[derive(Debug)]
pub(super) struct Pace {
    room: Arc<Semaphore>,
    least: usize,
    most: usize,
    /// The number in force, for everyone to see.
    shown: IntGauge,
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    /// Places there are, taken or not.
    places: usize,
    began: Instant,
    answers: u32,
    /// Answers a second, and when they were counted; oldest first.
    rates: VecDeque<(Instant, f64)>,
}

impl Pace {
    /// With `least` places, and up to `most` as the rate allows; a fixed number if both are the same.
    pub(super) fn new(least: usize, most: usize, shown: IntGauge) -> Self {
        let pace = Self {
            room: Arc::new(Semaphore::new(least)),
            least,
            most: most.max(least),
            shown,
            counted: Mutex::new(Counted {
                places: least,
                began: Instant::now(),
                answers: 0,
                rates: VecDeque::new(),
            }),
        };
        pace.show(least);
        pace
    }

    /// Where places are taken.
    pub(super) const fn room(&self) -> &Arc<Semaphore> {
        &self.room
    }

    /// Counts one good answer to a request that had a place. Refusals and errors are quick and say nothing about the line.
    pub(super) fn answered(&self) {
        if self.least == self.most {
            return;
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.answers = counted.answers.saturating_add(1);
        let now = Instant::now();
        let span = now - counted.began;
        if span < SPAN {
            return;
        }
        let rate = f64::from(counted.answers) / span.as_secs_f64();
        counted.rates.push_back((now, rate));
        (counted.began, counted.answers) = (now, 0);
        while counted.rates.front().is_some_and(|(at, _)| now - *at > LATELY) {
            counted.rates.pop_front();
        }
        let best = counted.rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive; clamped next
        let wanted = ((best * LINE.as_secs_f64()) as usize).clamp(self.least, self.most);
        if wanted > counted.places {
            self.room.add_permits(wanted - counted.places);
            counted.places = wanted;
        } else {
            // Those that are taken are forgotten at a later look.
            counted.places -= self.room.forget_permits(counted.places - wanted);
        }
        self.show(counted.places);
    }

    fn show(&self, places: usize) {
        self.shown.set(i64::try_from(places).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    fn pace(least: usize, most: usize) -> Pace {
        Pace::new(least, most, IntGauge::new("limit", "of a test").unwrap())
    }

    /// So many answers in a second, evenly.
    async fn second(pace: &Pace, answers: u32) {
        for _ in 0..answers {
            advance(Duration::from_secs(1) / answers).await;
            pace.answered();
        }
    }

    fn places(pace: &Pace) -> i64 {
        let shown = pace.shown.get();
        assert_eq!(pace.room.available_permits() as i64, shown);
        shown
    }

    #[tokio::test(start_paused = true)]
    async fn a_faster_server_lets_more_in() {
        let pace = pace(192, 768);
        assert_eq!(places(&pace), 192);
        second(&pace, 1000).await;
        assert_eq!(places(&pace), 192, "150 are not more than the least");
        second(&pace, 3000).await;
        assert!((448..=452).contains(&places(&pace)), "{}", places(&pace));
        second(&pace, 50_000).await;
        assert_eq!(places(&pace), 768, "not more than the most");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_moment_is_forgiven_and_a_slow_time_is_not() {
        let pace = pace(100, 1000);
        second(&pace, 4000).await;
        second(&pace, 100).await;
        assert!(places(&pace) > 590, "{}", places(&pace));
        for _ in 0..11 {
            second(&pace, 100).await;
        }
        assert_eq!(places(&pace), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_time_counts_as_slow() {
        let pace = pace(100, 1000);
        second(&pace, 4000).await;
        sleep(Duration::from_secs(60)).await;
        pace.answered();
        assert_eq!(places(&pace), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn places_that_are_taken_go_when_they_are_given_back() {
        let pace = pace(1, 1000);
        second(&pace, 1000).await;
        let full = pace.shown.get();
        assert!((148..=152).contains(&full), "{full}");
        let taken = pace.room.clone().try_acquire_many_owned(full as u32).unwrap();
        sleep(Duration::from_secs(60)).await;
        pace.answered();
        assert_eq!((pace.shown.get(), pace.room.available_permits()), (full, 0));
        drop(taken);
        sleep(Duration::from_secs(1)).await;
        pace.answered();
        assert_eq!(places(&pace), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_that_was_asked_for_stays() {
        let pace = pace(7, 7);
        second(&pace, 50_000).await;
        assert_eq!(places(&pace), 7);
    }
}
