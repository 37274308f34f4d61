//! Where the time of a request with images went: for the log, the traces and the header `Server-Timing`.

use std::time::Duration;

use axum::http::HeaderValue;

use crate::batcher::Classified;

/// Of several images or faces the longest of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) decode: Duration,
    /// Finding faces, on the routes that do.
    pub(crate) detect: Option<Duration>,
    /// Waiting for a worker.
    pub(crate) queue: Duration,
    pub(crate) infer: Duration,
    /// Faces in the largest batch that one of them was in.
    pub(crate) batch: usize,
    pub(crate) images: usize,
}

impl Timing {
    /// The timing of one image, of which these faces were classified.
    pub(super) fn of_image(decode: Duration, detect: Option<Duration>, faces: &[Classified]) -> Self {
        let decoded = Self {
            decode,
            detect,
            images: 1,
            ..Self::default()
        };
        faces.iter().fold(decoded, |timing, face| Self {
            queue: timing.queue.max(face.queue),
            infer: timing.infer.max(face.infer),
            batch: timing.batch.max(face.batch),
            ..timing
        })
    }

    pub(super) fn max(self, other: Self) -> Self {
        Self {
            decode: self.decode.max(other.decode),
            detect: self.detect.max(other.detect),
            queue: self.queue.max(other.queue),
            infer: self.infer.max(other.infer),
            batch: self.batch.max(other.batch),
            images: self.images.max(other.images),
        }
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        let [decode, queue, infer] = [self.decode, self.queue, self.infer].map(millis);
        let detect = self
            .detect
            .map_or_else(String::new, |d| format!(" detect;dur={:.3},", millis(d)));
        HeaderValue::from_str(&format!(
            "decode;dur={decode:.3},{detect} queue;dur={queue:.3}, infer;dur={infer:.3}"
        ))
        .ok()
    }
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(d: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss)] // 2⁵³ µs are three centuries
    let micros = d.as_micros() as f64;
    micros / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_timing_is_in_milliseconds() {
        let timing = Timing {
            decode: Duration::from_micros(1500),
            queue: Duration::ZERO,
            infer: Duration::from_nanos(1_234_567),
            ..Timing::default()
        };
        assert_eq!(
            timing.header().unwrap(),
            "decode;dur=1.500, queue;dur=0.000, infer;dur=1.234"
        );
        let timing = Timing {
            detect: Some(Duration::from_millis(25)),
            ..timing
        };
        assert_eq!(
            timing.header().unwrap(),
            "decode;dur=1.500, detect;dur=25.000, queue;dur=0.000, infer;dur=1.234"
        );
    }
}
