//! How large an image may be.

use super::{Format, ImageError, Reason};

/// What is accepted. Checked against the header before any pixel is decoded or given memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Most pixels, width × height. Decoding takes at most 16 bytes of memory a pixel of this
    /// number, besides the bytes sent.
    pub max_pixels: u64,
    /// Longest side in pixels.
    pub max_side: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 50_000_000,
            max_side: 65_535,
        }
    }
}

impl std::fmt::Display for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "at most {} pixels in all and {} on a side",
            self.max_pixels, self.max_side
        )
    }
}

impl Limits {
    /// Decoded RGBA at 16 bits twice (the decoder's buffer and ours): the most an accepted layout needs.
    const BYTES_PER_PIXEL: u64 = 16;
    /// What decoders keep besides pixels: tables, rows, metadata.
    pub(crate) const OVERHEAD: u64 = 4 << 20;

    /// Refuses an image of that size if it has no pixels or more than allowed.
    pub(crate) fn check(&self, format: Format, width: u32, height: u32) -> Result<(), ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::broken(format, Reason::NoPixels));
        }
        if width.max(height) > self.max_side || u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(ImageError::TooManyPixels {
                width,
                height,
                limit: *self,
            });
        }
        Ok(())
    }

    /// What a decoder may allocate that has a file of `length` bytes to read before it tells the size.
    pub(crate) fn memory(&self, length: usize) -> image::Limits {
        let mut limits = image::Limits::no_limits();
        // The decoder collects a chunk in a buffer that doubles as it grows.
        let pixels = self.max_pixels.saturating_mul(Self::BYTES_PER_PIXEL);
        limits.max_alloc = Some(pixels.saturating_add(Self::OVERHEAD + 2 * length as u64));
        limits
    }
}
