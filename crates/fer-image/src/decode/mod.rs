//! Bytes → full-size gray image → face.

mod exif;
mod gif;
pub(crate) mod jpeg;
pub(crate) mod luma;
mod opened;
pub(crate) mod orient;
mod others;
mod photo;
mod png_metadata;
mod resize;
mod source;
mod tiff;
mod webp;

use crate::{Face, ImageError, Limits};
pub use luma::LumaImage;
pub use opened::{Opened, Purpose};
pub use photo::Photo;
pub(crate) use photo::View;

/// Decodes one image and squeezes the whole of it into a face: [`Opened::face`].
///
/// # Errors
/// [`ImageError`], whose text is meant for the client.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Face, ImageError> {
    Opened::new(bytes, limits)?.face()
}

/// Decodes one image to full-size gray, upright: the step before [`decode()`] resizes.
///
/// # Errors
/// [`ImageError`], whose text is meant for the client.
pub fn decode_luma(bytes: &[u8], limits: &Limits) -> Result<LumaImage, ImageError> {
    Opened::new(bytes, limits)?.luma()
}
