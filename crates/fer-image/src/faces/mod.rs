//! Finds the faces in a photo and crops them the way the training images are framed.
//!
//! - [`Seeta`]: finds faces; [`Seeta::find`] also cuts them out
//! - [`Options`]: how many faces, how small, with which score
//! - [`FaceBox`]: where a face is; [`FaceBox::crop`] cuts it out
//!
//! `docs/faces.md` describes what it can and cannot do, with figures.

mod detector;
mod face_box;
mod options;
mod seeta;
#[cfg(test)]
mod tests;

pub(crate) use detector::MAX_PIXELS;
pub use detector::{Found, FoundFace, Seeta};
pub use face_box::{FaceBox, Rect};
pub use options::Options;
