//! How much processor time an image takes, by its header and by what others like it took.

use std::time::Duration;

use fer_image::{
    Format,
    helper::{Needs, Work},
};
use parking_lot::Mutex;

/// What is assumed for a format before the first image of it: nanoseconds a pixel.
const INITIAL: f64 = 4.0;
/// What finding faces takes in any photo, to begin with: nanoseconds.
const SEARCH: f64 = 60e6;
/// An estimate moves by this factor with each image, towards it: it becomes the median, and one slow image cannot raise it
/// much.
const STEP: f64 = 1.05;
/// An estimate stays within this factor of its first value.
const RANGE: f64 = 32.0;
/// Images of fewer pixels cost as much as one with this number.
const LEAST_PIXELS: f64 = 65_536.0;

/// Medians that follow what images cost.
#[derive(Debug)]
pub(super) struct Estimates {
    /// Nanoseconds a pixel, for each format.
    decode: Mutex<[f64; Format::ALL.len()]>,
    /// Nanoseconds a photo, whatever its size: photos are searched at one size.
    search: Mutex<f64>,
}

impl Default for Estimates {
    fn default() -> Self {
        Self {
            decode: Mutex::new([INITIAL; Format::ALL.len()]),
            search: Mutex::new(SEARCH),
        }
    }
}

impl Estimates {
    /// The processor time that the work is expected to take.
    pub(super) fn of(&self, work: &Work, needs: &Needs) -> Duration {
        let decode = self.decode.lock()[index(needs.format)] * pixels(needs);
        let search = match work {
            Work::Face => 0.0,
            Work::Find { .. } => *self.search.lock(),
        };
        Duration::from_secs_f64((decode + search) / 1e9)
    }

    /// The processor time of a megapixel, in the format that takes longest.
    pub(super) fn megapixel(&self) -> Duration {
        let slowest = self.decode.lock().iter().copied().fold(0.0, f64::max);
        Duration::from_secs_f64(slowest * 1e6 / 1e9)
    }

    /// Learns from an image that was decoded, and from a photo that was searched.
    pub(super) fn learn(&self, needs: &Needs, decode: Duration, search: Option<Duration>) {
        let nanos = |time: Duration| time.as_secs_f64() * 1e9;
        let per_pixel = &mut self.decode.lock()[index(needs.format)];
        *per_pixel = towards(*per_pixel, nanos(decode) / pixels(needs), INITIAL);
        if let Some(time) = search {
            let search = &mut *self.search.lock();
            *search = towards(*search, nanos(time), SEARCH);
        }
    }
}

fn towards(estimate: f64, seen: f64, initial: f64) -> f64 {
    let next = if seen > estimate {
        estimate * STEP
    } else {
        estimate / STEP
    };
    next.clamp(initial / RANGE, initial * RANGE)
}

fn pixels(needs: &Needs) -> f64 {
    #[allow(clippy::cast_precision_loss)] // an estimate
    let pixels = needs.pixels as f64;
    pixels.max(LEAST_PIXELS)
}

fn index(format: Format) -> usize {
    Format::ALL.iter().position(|f| *f == format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(pixels: u64) -> Needs {
        Needs {
            format: Format::Jpeg,
            pixels,
            memory: 0,
        }
    }

    #[test]
    fn an_estimate_becomes_the_median() {
        let (estimates, photo) = (Estimates::default(), needs(12_000_000));
        for n in 0..1000 {
            // One image in five takes 100 times as long.
            let time = if n % 5 == 0 { 3600 } else { 36 };
            estimates.learn(&photo, Duration::from_millis(time), None);
        }
        let estimate = estimates.of(&Work::Face, &photo).as_millis();
        assert!((30..50).contains(&estimate), "{estimate} ms");
        let twice = estimates.of(&Work::Face, &needs(24_000_000)).as_millis();
        assert!(twice.abs_diff(2 * estimate) <= 1);
    }

    #[test]
    fn an_estimate_has_bounds() {
        let estimates = Estimates::default();
        for _ in 0..10_000 {
            estimates.learn(&needs(1), Duration::from_secs(1000), None);
        }
        assert_eq!(
            estimates.of(&Work::Face, &needs(1_000_000)),
            Duration::from_millis(128)
        );
    }
}
