//! An image for the face detector, which may have been decoded at a fraction of its size.

use super::LumaImage;
use crate::Face;

/// An image for the face detector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// Upright gray pixels, possibly at a fraction of the size.
    pub luma: LumaImage,
    /// Width in pixels of the upright image at full size.
    pub width: u32,
    /// Height in pixels of the upright image at full size.
    pub height: u32,
}

impl From<LumaImage> for Photo {
    fn from(luma: LumaImage) -> Self {
        let (width, height) = (luma.width, luma.height);
        Self { luma, width, height }
    }
}

/// A borrowed [`Photo`]. Coordinates are in pixels of the full size.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) luma: &'a LumaImage,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl<'a> From<&'a Photo> for View<'a> {
    fn from(photo: &'a Photo) -> Self {
        let Photo { luma, width, height } = photo;
        let (width, height) = (*width, *height);
        Self { luma, width, height }
    }
}

impl<'a> From<&'a LumaImage> for View<'a> {
    fn from(luma: &'a LumaImage) -> Self {
        let (width, height) = (luma.width, luma.height);
        Self { luma, width, height }
    }
}

impl View<'_> {
    /// [`LumaImage::square`] of the full size, cut out of the pixels there are.
    pub(crate) fn square(&self, x: i64, y: i64, side: u32) -> Result<Face, String> {
        if (self.width, self.height) == (self.luma.width, self.luma.height) {
            return self.luma.square(x, y, side);
        }
        let across = f64::from(self.luma.width) / f64::from(self.width);
        let down = f64::from(self.luma.height) / f64::from(self.height);
        let start = [x as f64 * across, y as f64 * down];
        self.luma
            .part(start, [f64::from(side) * across, f64::from(side) * down])
    }
}
