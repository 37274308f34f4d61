//! Image bytes → [`Face`]: the only preprocessing there is, for serving and for training alike.
//!
//! ```text
//! bytes → format → header → decode → gray on white → upright → 48×48
//! ```
//!
//! - [`Format`]: the format, recognised from the content and never from a name
//! - [`Unread`]: what bytes are that we do not read
//! - [`Limits`]: images that claim too much are refused before anything is decoded
//! - [`Opened`]: header first; then [`Opened::face`], or [`Opened::photo`] for the detector
//! - [`decode()`], [`decode_luma`]: bytes → [`Face`] or full-size [`LumaImage`] in one call
//!   - `decode::jpeg`, `decode::gif`, `decode::tiff`, `decode::others`: the formats' decoders
//!   - `decode::luma`: BT.601 gray, transparency on white, 16 → 8 bits
//!   - `decode::orient`: EXIF orientation
//!   - `decode::resize`: antialiased, the whole image into the square
//! - [`faces`]: finds the faces in an image and crops them
//! - [`ImageError`], [`Reason`]: why bytes are not an image, in a client's terms

mod decode;
mod error;
mod face;
pub mod faces;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod helper;
mod limits;
#[cfg(test)]
pub(crate) mod tests;
mod unread;

pub use decode::{LumaImage, Opened, Photo, Purpose, decode, decode_luma};
pub use error::{ImageError, Kind, Reason};
pub use face::{Face, PIXELS, SIDE};
pub use format::Format;
pub use limits::Limits;
pub use unread::Unread;
