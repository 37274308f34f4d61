//! Bytes → full-size gray image → face.

mod jpeg;
pub(crate) mod luma;
pub(crate) mod orient;
mod resize;

use std::io::Cursor;

use image::{
    ImageDecoder,
    codecs::{
        bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, pnm::PnmDecoder, tiff::TiffDecoder,
        webp::WebPDecoder,
    },
    metadata::Orientation,
};

use crate::{Face, Format, ImageError, Limits, Reason, guard};
use luma::Alpha;
pub use luma::LumaImage;

/// Decodes one image and squeezes the whole of it into a face; the aspect ratio is not kept. A
/// 48×48 image is not resampled.
///
/// # Errors
/// [`ImageError`], whose text is meant for the client.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Face, ImageError> {
    let format = recognise(bytes)?;
    let (image, orientation) = as_stored(format, bytes, limits)?;
    // Turning the square afterwards moves 2,304 pixels instead of millions. The kernel is symmetric,
    // so only rounding could tell the difference.
    let face = image
        .whole()
        .map_err(|error| ImageError::broken_by(format, Reason::Damaged, error))?;
    if orientation == Orientation::NoTransforms {
        return Ok(face);
    }
    let upright = orient::upright(LumaImage::from(&face), orientation);
    Ok(Face::from_gray(&upright.pixels).unwrap_or(face))
}

/// Decodes one image to full-size gray, upright: the step before [`decode()`] resizes.
///
/// # Errors
/// [`ImageError`], whose text is meant for the client.
pub fn decode_luma(bytes: &[u8], limits: &Limits) -> Result<LumaImage, ImageError> {
    let (image, orientation) = as_stored(recognise(bytes)?, bytes, limits)?;
    Ok(orient::upright(image, orientation))
}

fn recognise(bytes: &[u8]) -> Result<Format, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    Format::sniff(bytes).ok_or(ImageError::UnknownFormat)
}

/// Decodes `bytes`, known to begin like `format`, to gray pixels as they are stored, and the orientation in
/// which to show them.
fn as_stored(format: Format, bytes: &[u8], limits: &Limits) -> Result<(LumaImage, Orientation), ImageError> {
    guard::check(format, bytes, limits)?;
    let reader = Cursor::new(bytes);
    let fail = |error| ImageError::from_decoder(format, error);
    match format {
        Format::Jpeg => jpeg::decode(bytes, limits),
        Format::Png => {
            let (width, height) = guard::png_size(bytes).unwrap_or_default();
            let memory = limits.memory_of(width, height, bytes.len());
            let decoder = PngDecoder::with_limits(reader, memory).map_err(fail)?;
            read(format, bytes, decoder, limits)
        }
        Format::WebP => read(format, bytes, WebPDecoder::new(reader).map_err(fail)?, limits),
        Format::Gif => read(format, bytes, GifDecoder::new(reader).map_err(fail)?, limits),
        Format::Bmp => read(format, bytes, BmpDecoder::new(reader).map_err(fail)?, limits),
        Format::Tiff => read(format, bytes, TiffDecoder::new(reader).map_err(fail)?, limits),
        Format::Pnm => read(format, bytes, PnmDecoder::new(reader).map_err(fail)?, limits),
    }
}

/// Checks the decoder's size and memory, then decodes the pixels.
fn read(
    format: Format,
    bytes: &[u8],
    mut decoder: impl ImageDecoder,
    limits: &Limits,
) -> Result<(LumaImage, Orientation), ImageError> {
    let fail = |error| ImageError::from_decoder(format, error);
    let (width, height) = decoder.dimensions();
    limits.check(format, width, height)?;
    let mut budget = limits.memory();
    budget.reserve(decoder.total_bytes()).map_err(fail)?;
    decoder.set_limits(budget).map_err(fail)?;
    // Unreadable metadata do not make the image unreadable.
    let mut orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if format == Format::Png && orientation == Orientation::NoTransforms {
        orientation = orient::of_png(bytes);
    }
    let color = decoder.color_type();
    let alpha = if format == Format::Tiff && color.has_alpha() {
        tiff_alpha(bytes)
    } else {
        Alpha::Straight
    };
    let length = usize::try_from(decoder.total_bytes())
        .map_err(|error| ImageError::broken_by(format, Reason::TooMuchMemory, error))?;
    let mut pixels = vec![0; length];
    decoder.read_image(&mut pixels).map_err(fail)?;
    let pixels =
        luma::from_pixels(color, pixels, alpha).ok_or(ImageError::broken(format, Reason::Unsupported))?;
    Ok((LumaImage::new(width, height, pixels), orientation))
}

/// The meaning of a TIFF's alpha channel: its ExtraSamples tag, which the `image` crate does not pass on.
fn tiff_alpha(bytes: &[u8]) -> Alpha {
    /// ExtraSamples' value for colours already multiplied by their opacity (TIFF 6.0, section 18).
    const ASSOCIATED: u16 = 1;
    let kinds = tiff::decoder::Decoder::new(Cursor::new(bytes))
        .and_then(|mut decoder| decoder.find_tag_unsigned_vec::<u16>(tiff::tags::Tag::ExtraSamples));
    match kinds {
        Ok(Some(kinds)) if kinds.first() == Some(&ASSOCIATED) => Alpha::Premultiplied,
        _ => Alpha::Straight,
    }
}
