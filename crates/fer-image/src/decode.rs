//! Every format's way to a full-size gray picture and the orientation it is to be shown in.

use std::io::Cursor;

use image::{
    ImageDecoder,
    codecs::{
        bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, pnm::PnmDecoder, tiff::TiffDecoder,
        webp::WebPDecoder,
    },
    metadata::Orientation,
};

use super::{
    Format, ImageError, Limits, LumaImage, Reason, header, jpeg,
    luma::{self, Alpha},
};

/// Decodes `bytes`, known to begin like `format`; the picture is not turned upright yet.
pub(super) fn decode(
    format: Format,
    bytes: &[u8],
    limits: &Limits,
) -> Result<(LumaImage, Orientation), ImageError> {
    header::check(format, bytes, limits)?;
    let reader = Cursor::new(bytes);
    let fail = |error| ImageError::from_decoder(format, error);
    match format {
        Format::Jpeg => jpeg::decode(bytes, limits),
        Format::Png => {
            let (width, height) = header::png(bytes).unwrap_or_default();
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

/// Asks the decoder for the size, then for the pixels.
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
    // Unreadable metadata do not make the picture unreadable.
    let mut orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if format == Format::Png && orientation == Orientation::NoTransforms {
        orientation = header::png_orientation(bytes);
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
    Ok((
        LumaImage {
            width,
            height,
            pixels,
        },
        orientation,
    ))
}

/// How a TIFF's transparency is meant: its ExtraSamples tag, which the `image` crate does not pass on.
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
