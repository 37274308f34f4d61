//! What a format's decoder is to [`Opened`](super::Opened).

use image::metadata::Orientation;

use super::LumaImage;
use crate::ImageError;

/// A decoder that has read the header.
pub(super) trait Source {
    /// Width and height as stored, in pixels.
    fn size(&self) -> (u32, u32);

    /// The most bytes that decoding at `eighths` of the size takes, the gray pixels included.
    fn memory(&self, eighths: u32) -> u64;

    /// The gray pixels as stored, and the orientation in which to show them. JPEG at `eighths` (1–8) of the size, rounded
    /// up; the other formats at full size.
    fn decode(self: Box<Self>, eighths: u32) -> Result<(LumaImage, Orientation), ImageError>;
}
