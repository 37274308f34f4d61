//! PNG, WebP, BMP and PNM by the `image` crate's decoders.

use std::io::Cursor;

use image::{
    ColorType, ImageDecoder,
    codecs::{bmp::BmpDecoder, png::PngDecoder, pnm::PnmDecoder, webp::WebPDecoder},
    metadata::Orientation,
};

use super::{
    exif,
    luma::{self, Alpha, LumaImage},
    png_metadata,
    source::Source,
    webp,
};
use crate::{Format, ImageError, Kind, Limits, Reason};

/// An image whose header a decoder of the `image` crate has read.
pub(super) struct Other<'a> {
    format: Format,
    bytes: &'a [u8],
    decoder: Box<dyn ImageDecoder + 'a>,
}

impl<'a> Other<'a> {
    pub(super) fn open(format: Format, bytes: &'a [u8], limits: &Limits) -> Result<Self, ImageError> {
        let reader = Cursor::new(bytes);
        let fail = |error| ImageError::from_decoder(format, error);
        let decoder: Box<dyn ImageDecoder> = match format {
            Format::Png => {
                // The size alone first: the decoder reads up to the pixels, and may find a fault on the way.
                if let Ok(header) = png::Decoder::new(Cursor::new(bytes)).read_header_info() {
                    limits.check(format, header.width, header.height)?;
                }
                let memory = limits.memory(bytes.len());
                Box::new(PngDecoder::with_limits(reader, memory).map_err(fail)?)
            }
            Format::WebP => {
                let file = webp::checked(bytes)?;
                Box::new(WebPDecoder::new(Cursor::new(file)).map_err(fail)?)
            }
            Format::Bmp => Box::new(BmpDecoder::new(reader).map_err(fail)?),
            _ => Box::new(PnmDecoder::new(reader).map_err(fail)?),
        };
        Ok(Self {
            format,
            bytes,
            decoder,
        })
    }

    fn orientation(&mut self) -> Orientation {
        // Unreadable metadata do not make the image unreadable.
        let block = self.decoder.exif_metadata().ok().flatten();
        let found = exif::orientation(&block.unwrap_or_default());
        if self.format == Format::Png && found == Orientation::NoTransforms {
            return png_metadata::orientation(self.bytes);
        }
        found
    }
}

impl Source for Other<'_> {
    fn size(&self) -> (u32, u32) {
        self.decoder.dimensions()
    }

    fn memory(&self, _: u32) -> u64 {
        let (width, height) = self.decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        // What the decoder works in: WebP has planes or a canvas of its own; the others decode rows in place.
        let own = match self.format {
            Format::WebP => pixels.saturating_mul(12).saturating_add(self.bytes.len() as u64),
            Format::Png => 2 * self.bytes.len() as u64,
            _ => 0,
        };
        self.decoder
            .total_bytes()
            .saturating_add(pixels)
            .saturating_add(own)
    }

    fn decode(mut self: Box<Self>, eighths: u32) -> Result<(LumaImage, Orientation), ImageError> {
        let format = self.format;
        let fail = |error| ImageError::from_decoder(format, error);
        let (width, height) = self.decoder.dimensions();
        let mut budget = image::Limits::no_limits();
        budget.max_alloc = Some(self.memory(eighths).saturating_add(Limits::OVERHEAD));
        budget.reserve(self.decoder.total_bytes()).map_err(fail)?;
        self.decoder.set_limits(budget).map_err(fail)?;
        let orientation = self.orientation();
        let color = self.decoder.color_type();
        let length = usize::try_from(self.decoder.total_bytes())
            .map_err(|error| ImageError::broken_by(format, Reason::TooMuchMemory, error))?;
        let mut pixels = vec![0; length];
        self.decoder.read_image_boxed(&mut pixels).map_err(fail)?;
        if format == Format::Bmp && color == ColorType::Rgba8 {
            drop_empty_alpha(&mut pixels);
        }
        let pixels = luma::from_pixels(color, pixels, Alpha::Straight);
        let pixels = pixels.ok_or(ImageError::broken(format, Reason::Unsupported(Kind::Channels)))?;
        Ok((LumaImage::new(width, height, pixels), orientation))
    }
}

/// Makes an image opaque whose alpha is 0 everywhere: many programs declare a mask for alpha in a BMP and leave it empty.
fn drop_empty_alpha(pixels: &mut [u8]) {
    if pixels.iter().skip(3).step_by(4).all(|alpha| *alpha == 0) {
        pixels
            .iter_mut()
            .skip(3)
            .step_by(4)
            .for_each(|alpha| *alpha = u8::MAX);
    }
}
