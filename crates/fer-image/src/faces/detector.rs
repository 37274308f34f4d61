//! The detector: at which scales an image is searched.

use super::{
    FaceBox, Options, Rect,
    seeta::{Cascade, Gray, MODEL, WINDOW, Window},
};
use crate::{Face, LumaImage, Photo, decode::View};

/// SeetaFace: frontal faces, turned up to about 45° to a side and 15° in the image plane.
#[derive(Debug)]
pub struct Seeta {
    pub(super) cascade: Cascade,
}

/// An image that was searched for faces.
#[derive(Debug)]
pub struct Found {
    /// Width in pixels of the upright image at full size.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Largest first.
    pub faces: Vec<FoundFace>,
    /// The whole image as a face, if that was asked for and no face was found.
    pub whole: Option<Face>,
}

/// A face that was found.
#[derive(Debug)]
pub struct FoundFace {
    /// In pixels of the upright image at full size.
    pub rect: Rect,
    /// The detector's confidence; see [`Options::score`].
    pub score: f32,
    /// Framed as the training images are.
    pub face: Face,
}

/// Pixels of the first search's image: those of a square of 640.
const FIRST_PIXELS: f64 = 640.0 * 640.0;
/// Least shorter side of the first search's image, as far as [`MAX_PIXELS`] allows: in a panorama, faces are small
/// compared with its length and not with its height.
const FIRST_SHORT_SIDE: f64 = 400.0;
/// Most pixels of any search's image, and of the second's.
pub(crate) const MAX_PIXELS: f64 = 1600.0 * 1600.0;
/// Small images are enlarged up to this factor, as long as they stay within those pixels.
const MAX_ENLARGEMENT: f64 = 2.0;
/// A face narrower than this in the first search (in its pixels) suggests that there are more, too small for it.
const SMALL: i32 = 44;
/// The score of such a face that suffices.
const SMALL_SCORE: f32 = 2.0;
/// Boxes of two searches that overlap more than this are one face.
const SAME_FACE: f32 = 0.3;

impl Seeta {
    /// Reads the model built into this program.
    ///
    /// # Errors
    /// A sentence; none can occur in a program that passed its tests.
    pub fn new() -> Result<Self, String> {
        let cascade = Cascade::read(MODEL).map_err(|e| format!("face detector: {e}"))?;
        Ok(Self { cascade })
    }

    /// Finds the faces of `photo` and cuts them out; if there is none and `or_whole` is set, the whole photo becomes a
    /// face. CPU-bound: do not call it on an async thread.
    ///
    /// # Errors
    /// A sentence for the log, if the photo cannot be resized. No face is no error.
    pub fn find(&self, photo: &Photo, options: &Options, or_whole: bool) -> Result<Found, String> {
        let mut faces = Vec::new();
        for found in self.boxes(photo.into(), options)? {
            if let Some(rect) = found.within(photo.width, photo.height) {
                let (score, face) = (found.score, found.crop_of(photo.into())?);
                faces.push(FoundFace { rect, score, face });
            }
        }
        let whole = (or_whole && faces.is_empty()).then(|| photo.luma.whole());
        Ok(Found {
            width: photo.width,
            height: photo.height,
            faces,
            whole: whole.transpose()?,
        })
    }

    /// The faces, largest first by their part inside the image, at most [`Options::max_faces`]. CPU-bound: do not call
    /// it on an async thread.
    ///
    /// # Errors
    /// A sentence for the log, if the image cannot be resized. No face is no error.
    pub fn detect(&self, image: &LumaImage, options: &Options) -> Result<Vec<FaceBox>, String> {
        self.boxes(image.into(), options)
    }

    fn boxes(&self, image: View<'_>, options: &Options) -> Result<Vec<FaceBox>, String> {
        let mut faces: Vec<FaceBox> = self
            .windows(image, options.min_face)?
            .into_iter()
            .filter(|w| w.score >= options.score)
            .map(|w| FaceBox {
                x: i64::from(w.x),
                y: i64::from(w.y),
                side: w.side.unsigned_abs(),
                score: w.score,
            })
            .filter(|face| face.within(image.width, image.height).is_some())
            .filter(|face| options.min_face.is_none_or(|least| face.side >= least))
            .collect();
        let visible = |face: &FaceBox| {
            let rect = face.within(image.width, image.height);
            rect.map_or(0, |r| u64::from(r.width) * u64::from(r.height))
        };
        // Of equal size the upper left one first, so that the order is deterministic.
        faces.sort_by_key(|face| (std::cmp::Reverse(visible(face)), face.y, face.x));
        faces.truncate(options.max_faces);
        Ok(faces)
    }

    /// Searches the image at `scale` of its full size; windows in pixels of that scale.
    fn search(&self, image: View<'_>, scale: f64) -> Result<Vec<Window>, String> {
        let side = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
        let (width, height) = (side(image.width), side(image.height));
        let scaled;
        let pixels = if (width, height) == (image.luma.width, image.luma.height) {
            image.luma.pixels()
        } else {
            scaled = image.luma.resized(width, height)?;
            scaled.pixels()
        };
        Ok(self
            .cascade
            .detect(Gray::new(pixels, width as usize, height as usize)))
    }

    /// All windows, in pixels of the full size.
    fn windows(&self, image: View<'_>, min_face: Option<u32>) -> Result<Vec<Window>, String> {
        let area = f64::from(image.width) * f64::from(image.height);
        let scale_to = |pixels: f64| (pixels / area).sqrt();
        let largest = scale_to(MAX_PIXELS).min(MAX_ENLARGEMENT);
        if let Some(min_face) = min_face {
            let scale = (WINDOW as f64 / f64::from(min_face)).min(largest);
            return Ok(unscaled(self.search(image, scale)?, scale));
        }
        // Most photos need one search at a moderate size. Only where it finds small faces, which suggest still
        // smaller ones, is the image searched at the largest scale, too.
        let shorter = f64::from(image.width.min(image.height));
        let first = scale_to(FIRST_PIXELS)
            .max(FIRST_SHORT_SIDE / shorter)
            .min(largest);
        let found = self.search(image, first)?;
        let small = found.iter().any(|w| w.side < SMALL && w.score >= SMALL_SCORE);
        let found = unscaled(found, first);
        if !small || largest <= first * 1.2 {
            return Ok(found);
        }
        let mut all = unscaled(self.search(image, largest)?, largest);
        // The larger scale gives the better boxes; the first search adds the faces that only it found.
        for window in found {
            if all.iter().all(|other| other.overlap(window) <= SAME_FACE) {
                all.push(window);
            }
        }
        Ok(all)
    }
}

/// The windows in pixels of the image that was searched at `scale`.
fn unscaled(windows: Vec<Window>, scale: f64) -> Vec<Window> {
    let back = |n: i32| (f64::from(n) / scale).round() as i32;
    windows
        .into_iter()
        .map(|w| Window {
            x: back(w.x),
            y: back(w.y),
            side: back(w.side).max(1),
            score: w.score,
        })
        .collect()
}
