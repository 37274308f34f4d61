//! Finding faces in a photo, and cutting them out the way the training pictures are framed.
//!
//! - [`Detector`]: what finds them; [`Seeta`] is the one there is
//! - [`Options`]: how many, how small, how sure
//! - [`FaceBox::crop`]: a face as the network knows faces
//!
//! `docs/faces.md` says what it can and cannot do, with figures.

mod seeta;
#[cfg(test)]
mod tests;

use crate::{Face, LumaImage};
use seeta::{Cascade, Plane, WINDOW, Window};

/// SeetaFace's model file as the `rustface` crate carries it; see build.rs.
const MODEL: &[u8] = include_bytes!("../../../../assets/seeta_fd_frontal_v1.0.bin");

/// Finds the faces in a picture.
pub trait Detector: Send + Sync + std::fmt::Debug {
    /// The faces, largest first by what of them lies in the picture, at most [`Options::max_faces`]. Computes for long; not for an async thread.
    ///
    /// # Errors
    /// A sentence for the log, if the picture cannot be resized. No face is no error.
    fn detect(&self, picture: &LumaImage, options: &Options) -> Result<Vec<FaceBox>, String>;
}

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The largest so many faces are kept, 1–[`Options::MOST_FACES`].
    pub max_faces: usize,
    /// Width in pixels of the smallest face to look for, [`Options::MIN_FACE`]. A small one takes time:
    /// the work grows with 1 / `min_face`², up to a limit. `None` chooses: about a sixteenth of the
    /// picture's side, and a second, closer look if there are faces near that size.
    pub min_face: Option<u32>,
    /// The least score, [`Options::SCORE`]: in how many neighbouring positions and sizes the face was
    /// seen, each weighted by the last network's probability (0.5–1).
    pub score: f32,
}

impl Options {
    /// The most that [`Options::max_faces`] can be.
    pub const MOST_FACES: usize = 256;
    /// The range of [`Options::min_face`] in pixels.
    pub const MIN_FACE: std::ops::RangeInclusive<u32> = 20..=10_000;
    /// The range of [`Options::score`].
    pub const SCORE: std::ops::RangeInclusive<f32> = 1.0..=100.0;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_faces: 64,
            min_face: None,
            score: 3.0,
        }
    }
}

/// A face in a picture: a square, which may reach over the picture's border.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceBox {
    /// Left edge in pixels of the upright picture.
    pub x: i64,
    /// Top edge in pixels.
    pub y: i64,
    /// Width and height in pixels, at least 1.
    pub side: u32,
    /// How sure the detector is; see [`Options::score`].
    pub score: f32,
}

/// The part of a [`FaceBox`] that lies in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rect {
    /// Left edge in pixels of the upright picture.
    pub x: u32,
    /// Top edge in pixels.
    pub y: u32,
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
}

impl FaceBox {
    /// How much wider than the detector's box a training picture is framed: the median over 473 faces of
    /// FER2013's public test set that the detector finds, with the middle where the box has its own
    /// (`docs/faces.md`).
    pub const MARGIN: f64 = 1.10;

    /// The part inside a picture of that size; `None` if there is none.
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

    /// Cuts the face out as the training pictures are framed: the box widened to all sides by
    /// [`FaceBox::MARGIN`], forehead to chin; where that reaches over the border, the border goes on.
    ///
    /// # Errors
    /// A sentence for the log; none is known to occur.
    pub fn crop(&self, picture: &LumaImage) -> Result<Face, String> {
        let side = (f64::from(self.side) * Self::MARGIN).round().max(1.0);
        let shift = ((side - f64::from(self.side)) / 2.0).round() as i64;
        picture.square(self.x - shift, self.y - shift, side as u32)
    }
}

/// SeetaFace: frontal faces, turned up to about 45° to a side and 15° in the plane.
#[derive(Debug)]
pub struct Seeta {
    cascade: Cascade,
}

/// Pixels of the picture that is searched first: as many as a square of 640.
const FIRST_LOOK: f64 = 640.0 * 640.0;
/// The shorter side of the picture that is searched first, at least, as far as [`CLOSE_LOOK`] allows: in a
/// panorama faces are small beside its length and not beside its height.
const FIRST_SHORT_SIDE: f64 = 400.0;
/// Pixels of the picture that is searched at most.
const CLOSE_LOOK: f64 = 1600.0 * 1600.0;
/// Small pictures are enlarged up to this, as long as they stay within those pixels.
const ENLARGE: f64 = 2.0;
/// A face narrower than this in the first look (in its pixels) suggests that there are more, too small for it.
const SMALL: i32 = 44;
/// A score that is enough to suggest it.
const HINT: f32 = 2.0;
/// Boxes of two looks that overlap more than this are one face.
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

    /// Searches the picture at `scale`; windows in pixels of that scale.
    fn look(&self, picture: &LumaImage, scale: f64) -> Result<Vec<Window>, String> {
        let side = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
        let (width, height) = (side(picture.width()), side(picture.height()));
        let small;
        let pixels = if (width, height) == (picture.width(), picture.height()) {
            picture.pixels()
        } else {
            small = picture.resized(width, height)?;
            small.pixels()
        };
        Ok(self
            .cascade
            .detect(Plane::new(pixels, width as usize, height as usize)))
    }

    /// All windows, in pixels of the picture.
    fn windows(&self, picture: &LumaImage, min_face: Option<u32>) -> Result<Vec<Window>, String> {
        let area = f64::from(picture.width()) * f64::from(picture.height());
        let up_to = |pixels: f64| (pixels / area).sqrt();
        if let Some(min_face) = min_face {
            let scale = (WINDOW as f64 / f64::from(min_face))
                .min(up_to(CLOSE_LOOK))
                .min(ENLARGE);
            return Ok(at_scale(self.look(picture, scale)?, scale));
        }
        let shorter = f64::from(picture.width().min(picture.height()));
        let first = up_to(FIRST_LOOK)
            .max(FIRST_SHORT_SIDE / shorter)
            .min(up_to(CLOSE_LOOK))
            .min(ENLARGE);
        let seen = self.look(picture, first)?;
        let small = seen.iter().any(|w| w.side < SMALL && w.score >= HINT);
        let second = up_to(CLOSE_LOOK).min(ENLARGE);
        let seen = at_scale(seen, first);
        if !small || second <= first * 1.2 {
            return Ok(seen);
        }
        let mut all = at_scale(self.look(picture, second)?, second);
        for window in seen {
            if all.iter().all(|other| other.overlap(window) <= SAME_FACE) {
                all.push(window);
            }
        }
        Ok(all)
    }
}

fn at_scale(windows: Vec<Window>, scale: f64) -> Vec<Window> {
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

impl Detector for Seeta {
    fn detect(&self, picture: &LumaImage, options: &Options) -> Result<Vec<FaceBox>, String> {
        let mut faces: Vec<FaceBox> = self
            .windows(picture, options.min_face)?
            .into_iter()
            .filter(|w| w.score >= options.score)
            .map(|w| FaceBox {
                x: i64::from(w.x),
                y: i64::from(w.y),
                side: w.side.unsigned_abs(),
                score: w.score,
            })
            .filter(|face| face.within(picture.width(), picture.height()).is_some())
            .filter(|face| options.min_face.is_none_or(|least| face.side >= least))
            .collect();
        let seen = |face: &FaceBox| {
            let rect = face.within(picture.width(), picture.height());
            rect.map_or(0, |r| u64::from(r.width) * u64::from(r.height))
        };
        // Of equal size the upper left one first, so that the order is always the same.
        faces.sort_by_key(|face| (std::cmp::Reverse(seen(face)), face.y, face.x));
        faces.truncate(options.max_faces);
        Ok(faces)
    }
}
