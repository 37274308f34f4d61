//! Picture bytes → [`Face`]: the only preprocessing there is, for serving and for training alike.
//!
//! ```text
//! bytes → sniff → header within limits → decode → gray on white → upright → 48×48
//! ```
//!
//! - [`sniff`](Format::sniff): the format, from the content and never from a name
//! - `header`, [`Limits`]: refusal before anything is decoded
//! - `decode`, `jpeg`: full-size pixels
//! - `luma`: BT.601 gray, transparency on white, 16 → 8 bits
//! - `orient`: EXIF orientation
//! - `resize`: antialiased, the whole picture into the square

mod decode;
mod error;
pub mod faces;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod jpeg;
mod luma;
mod orient;
mod resize;
mod sniff;
#[cfg(test)]
pub(crate) mod tests;
mod tiff_header;

pub use error::{ImageError, Reason};
pub use sniff::Format;

/// Width and height of a face in pixels.
pub const SIDE: usize = 48;
/// Pixels of a face.
pub const PIXELS: usize = SIDE * SIDE;

/// What the network sees: 48×48 gray pixels (BT.601 luma, 0–255) in row-major order.
#[derive(Clone, PartialEq, Eq)]
pub struct Face(pub [u8; PIXELS]);

impl std::fmt::Debug for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Face({SIDE}×{SIDE})")
    }
}

impl Face {
    /// The face of 2,304 gray values in row-major order; `None` if there are more or fewer.
    #[must_use]
    pub fn from_gray(pixels: &[u8]) -> Option<Self> {
        pixels.try_into().ok().map(Self)
    }

    /// The face as an 8-bit gray PNG, which [`decode()`] turns into the same bytes.
    #[must_use]
    pub fn to_png(&self) -> Vec<u8> {
        use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
        let mut png = Vec::new();
        let side = SIDE as u32;
        let written = PngEncoder::new(&mut png).write_image(&self.0, side, side, ExtendedColorType::L8);
        debug_assert!(
            written.is_ok(),
            "writing 48×48 gray pixels to memory has no way to fail"
        );
        png
    }
}

/// What is accepted. Checked against the header before any pixel is decoded or given memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    const OVERHEAD: u64 = 4 << 20;

    fn check(&self, format: Format, width: u32, height: u32) -> Result<(), ImageError> {
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

    /// The same for a picture of that size in a file of that length: what is not its pixels (a colour profile
    /// that swells, say) then has no use of what larger pictures may take.
    fn memory_of(&self, width: u32, height: u32, length: usize) -> image::Limits {
        let max_pixels = self.max_pixels.min(u64::from(width) * u64::from(height));
        let mut limits = Self { max_pixels, ..*self }.memory();
        // A chunk is gathered in a buffer that doubles.
        let chunks = 2 * length as u64;
        limits.max_alloc = limits.max_alloc.map(|bytes| bytes.saturating_add(chunks));
        limits
    }

    fn memory(&self) -> image::Limits {
        let mut limits = image::Limits::no_limits();
        limits.max_alloc = Some(
            self.max_pixels
                .saturating_mul(Self::BYTES_PER_PIXEL)
                .saturating_add(Self::OVERHEAD),
        );
        limits
    }
}

/// A gray picture of any size, upright: what [`decode()`] squeezes into a [`Face`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LumaImage {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl LumaImage {
    /// Width in pixels, at least 1.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// BT.601 luma, 0–255, width × height bytes in row-major order.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels, without a copy.
    #[must_use]
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

impl From<&Face> for LumaImage {
    fn from(face: &Face) -> Self {
        let side = SIDE as u32;
        Self {
            width: side,
            height: side,
            pixels: face.0.to_vec(),
        }
    }
}

/// Decodes one picture and squeezes the whole of it into a face; the aspect ratio is not kept. A
/// 48×48 picture is not resampled.
///
/// # Errors
/// [`ImageError`], whose text is meant for the client.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Face, ImageError> {
    let format = recognise(bytes)?;
    let (image, orientation) = decode::decode(format, bytes, limits)?;
    // Turning the square afterwards moves 2,304 pixels instead of millions. The kernel is symmetric,
    // so only rounding could tell the difference.
    let face = resize::to_face(&image, format)?;
    if orientation == ::image::metadata::Orientation::NoTransforms {
        return Ok(face);
    }
    let (side, pixels) = (SIDE as u32, face.0.to_vec());
    let upright = orient::upright(
        LumaImage {
            width: side,
            height: side,
            pixels,
        },
        orientation,
    );
    Ok(Face::from_gray(&upright.pixels).unwrap_or(face))
}

/// Decodes one picture to full-size gray, upright: the step before [`decode()`] resizes.
///
/// # Errors
/// [`ImageError`], whose text is meant for the client.
pub fn decode_luma(bytes: &[u8], limits: &Limits) -> Result<LumaImage, ImageError> {
    let (image, orientation) = decode::decode(recognise(bytes)?, bytes, limits)?;
    Ok(orient::upright(image, orientation))
}

fn recognise(bytes: &[u8]) -> Result<Format, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    Format::sniff(bytes).ok_or(ImageError::UnknownFormat)
}
