//! How much work waits for a pool, as a time.
//!
//! A count of requests says nothing about the wait: a photo takes a hundred times as long as a crop of a face. So each image
//! that takes long is weighed by the processor time that it is expected to take, and one that would wait for too long is
//! refused at once.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

/// The longest wait, as for requests with small images.
const WAIT: Duration = Duration::from_millis(150);
/// Images a thread that may be in the line whatever they take.
const LEAST: usize = 4;

/// The images that wait for a pool or are in it.
#[derive(Debug)]
pub(super) struct Line {
    threads: u32,
    /// Images that are admitted whatever they take.
    least: usize,
    state: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    images: usize,
    work: Duration,
}

/// An image's part of the line, given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    work: Duration,
    line: Arc<Mutex<Waiting>>,
}

impl Line {
    /// The line of a pool with that number of threads; `patient` if some images may wait whatever they take.
    pub(super) fn new(threads: usize, patient: bool) -> Self {
        Self {
            threads: u32::try_from(threads).unwrap_or(u32::MAX).max(1),
            least: if patient { threads.saturating_mul(LEAST) } else { 0 },
            state: Arc::default(),
        }
    }

    /// A place for an image that takes that time; `None` if it would wait too long. `always` admits it in any case.
    pub(super) fn enter(&self, work: Duration, always: bool) -> Option<Place> {
        let mut state = self.state.lock();
        let short = state.work / self.threads <= WAIT || state.images < self.least;
        (short || always).then(|| {
            state.images += 1;
            state.work += work;
            Place {
                work,
                line: Arc::clone(&self.state),
            }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        state.images -= 1;
        state.work = state.work.saturating_sub(self.work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_line_is_as_long_as_its_wait() {
        let line = Line::new(2, false);
        let places: Vec<_> = std::iter::from_fn(|| line.enter(MS(50), false)).collect();
        // Two threads: the seventh finds exactly 150 ms before it.
        assert_eq!(places.len(), 7);
        assert!(line.enter(MS(1), false).is_none());
        let forced = line.enter(MS(1000), true).unwrap();
        drop(places);
        assert!(line.enter(MS(1), false).is_none(), "one second is left");
        drop(forced);
        assert!(
            line.enter(MS(5000), false).is_some(),
            "an empty line takes any image"
        );
    }

    #[test]
    fn a_patient_line_takes_some_images_whatever_they_take() {
        let line = Line::new(1, true);
        let places: Vec<_> = std::iter::from_fn(|| line.enter(MS(400), false)).collect();
        assert_eq!(places.len(), 4);
    }
}
