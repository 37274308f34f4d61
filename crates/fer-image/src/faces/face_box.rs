//! Where a face is, and its crop.

use crate::{Face, LumaImage, decode::View};

/// A face in an image: a square, which may reach over the image's border.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceBox {
    /// Left edge in pixels of the upright image.
    pub x: i64,
    /// Top edge in pixels.
    pub y: i64,
    /// Width and height in pixels, at least 1.
    pub side: u32,
    /// The detector's confidence; see [`Options::score`](super::Options::score).
    pub score: f32,
}

/// The part of a [`FaceBox`] that lies in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rect {
    /// Left edge in pixels of the upright image.
    pub x: u32,
    /// Top edge in pixels.
    pub y: u32,
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
}

impl FaceBox {
    /// How much wider than the detector's box a training image is framed: the median over 473 faces of
    /// FER2013's public test set that the detector finds, with the middle where the box has its own
    /// (`docs/faces.md`).
    pub const MARGIN: f64 = 1.10;

    /// The part inside an image of that size; `None` if there is none.
    #[must_use]
    pub fn within(&self, width: u32, height: u32) -> Option<Rect> {
        let part = |start: i64, limit: u32| {
            let end = (start + i64::from(self.side)).min(i64::from(limit));
            let start = start.max(0);
            let length = u32::try_from(end - start).ok().filter(|n| *n > 0)?;
            Some((u32::try_from(start).ok()?, length))
        };
        let ((x, width), (y, height)) = (part(self.x, width)?, part(self.y, height)?);
        Some(Rect { x, y, width, height })
    }

    /// Cuts the face out as the training images are framed: the box widened to all sides by
    /// [`FaceBox::MARGIN`], forehead to chin; where that reaches over the border, the pixels of the border are continued.
    ///
    /// # Errors
    /// A sentence for the log; none is known to occur.
    pub fn crop(&self, image: &LumaImage) -> Result<Face, String> {
        self.crop_of(image.into())
    }

    /// [`FaceBox::crop`] of an image that may be at a fraction of its size.
    pub(super) fn crop_of(&self, image: View<'_>) -> Result<Face, String> {
        let side = (f64::from(self.side) * Self::MARGIN).round().max(1.0);
        let shift = ((side - f64::from(self.side)) / 2.0).round() as i64;
        image.square(self.x - shift, self.y - shift, side as u32)
    }
}
