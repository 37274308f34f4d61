//! Header first, pixels later: what lies between the two is the caller's decision.

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
    jpeg::Jpeg,
    luma::{self, Alpha, LumaImage},
    orient,
    photo::Photo,
};
use crate::{Face, Format, ImageError, Kind, Limits, Reason, SIDE, Unread, faces::MAX_PIXELS, guard};

/// The full size, in eighths.
const WHOLE: u32 = 8;
/// The least side in pixels of an image that becomes a face: three times a face's. `docs/performance.md` has what less
/// and more would change.
const FACE_SIDE: u64 = 3 * SIDE as u64;
/// The least pixels of a photo for the detector: as many as its largest search has.
const PHOTO_PIXELS: u64 = MAX_PIXELS as u64;

/// What an image is decoded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// [`Opened::face`].
    Face,
    /// [`Opened::photo`].
    Photo,
}

/// An image whose header its decoder has read; no pixel is decoded yet.
pub struct Opened<'a> {
    bytes: &'a [u8],
    limits: Limits,
    format: Format,
    width: u32,
    height: u32,
    decoder: Decoder<'a>,
}

enum Decoder<'a> {
    Jpeg(Jpeg<'a>),
    Other(Box<dyn ImageDecoder + 'a>),
}

impl std::fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({} {}×{})", self.format, self.width, self.height)
    }
}

impl<'a> Opened<'a> {
    /// Reads the header of `bytes`.
    ///
    /// # Errors
    /// [`ImageError`], whose text is meant for the client: no bytes, no known format, more than `limits` allow, or a
    /// header that cannot be read.
    pub fn new(bytes: &'a [u8], limits: &Limits) -> Result<Self, ImageError> {
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        let format = Format::sniff(bytes).ok_or_else(|| ImageError::UnknownFormat(Unread::sniff(bytes)))?;
        guard::check(format, bytes, limits)?;
        let decoder = Decoder::new(format, bytes, limits)?;
        let (width, height) = match &decoder {
            Decoder::Jpeg(jpeg) => jpeg.size(),
            Decoder::Other(other) => other.dimensions(),
        };
        limits.check(format, width, height)?;
        Ok(Self {
            bytes,
            limits: *limits,
            format,
            width,
            height,
            decoder,
        })
    }

    /// The format, by its first bytes.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Width × height as stored, at least 1.
    #[must_use]
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The most bytes of memory that decoding for `purpose` takes, besides the file itself.
    #[must_use]
    pub fn memory(&self, purpose: Purpose) -> u64 {
        /// Tables, rows, metadata.
        const OVERHEAD: u64 = 4 << 20;
        let pixels = self.pixels();
        // What the decoder works in, along with the gray pixels.
        let decoded = match &self.decoder {
            Decoder::Jpeg(jpeg) => jpeg.memory(self.eighths(purpose)),
            Decoder::Other(other) => {
                // A canvas or planes of the decoder's own, along with what it hands over.
                let own = match self.format {
                    Format::WebP | Format::Gif => pixels.saturating_mul(8),
                    _ => pixels,
                };
                other.total_bytes().saturating_add(own).saturating_add(pixels)
            }
        };
        // Turning makes a second gray image.
        let turned = match purpose {
            Purpose::Face => 0,
            Purpose::Photo => pixels,
        };
        decoded.saturating_add(turned).saturating_add(OVERHEAD)
    }

    /// Decodes the image and squeezes the whole of it into a face; the aspect ratio is not kept. A 48×48 image is not
    /// resampled.
    ///
    /// # Errors
    /// [`ImageError::Broken`].
    pub fn face(self) -> Result<Face, ImageError> {
        let (format, eighths) = (self.format, self.eighths(Purpose::Face));
        let full = [self.width, self.height];
        let (image, orientation) = self.into_stored(eighths)?;
        let face = if eighths == WHOLE {
            image.whole()
        } else {
            // The last column and row may reach over the border.
            let size = full.map(|side| f64::from(side) * f64::from(eighths) / f64::from(WHOLE));
            image.part([0.0, 0.0], size)
        };
        let face = face.map_err(|error| ImageError::broken_by(format, Reason::Damaged, error))?;
        // Turning the square afterwards moves 2,304 pixels instead of millions. The kernel is symmetric,
        // so only rounding could tell the difference.
        if orientation == Orientation::NoTransforms {
            return Ok(face);
        }
        let upright = orient::upright(LumaImage::from(&face), orientation);
        Ok(Face::from_gray(&upright.pixels).unwrap_or(face))
    }

    /// Decodes the image to gray for the face detector, upright.
    ///
    /// # Errors
    /// [`ImageError::Broken`].
    pub fn photo(self) -> Result<Photo, ImageError> {
        let (width, height, eighths) = (self.width, self.height, self.eighths(Purpose::Photo));
        let (image, orientation) = self.into_stored(eighths)?;
        let turned = orient::swaps_sides(orientation);
        let (width, height) = if turned { (height, width) } else { (width, height) };
        let luma = orient::upright(image, orientation);
        Ok(Photo { luma, width, height })
    }

    /// Decodes the image to gray at full size, upright.
    pub(super) fn luma(self) -> Result<LumaImage, ImageError> {
        let (image, orientation) = self.into_stored(WHOLE)?;
        Ok(orient::upright(image, orientation))
    }

    /// The least number of eighths of the size at which `purpose` loses nothing that counts; only JPEG has less than
    /// [`WHOLE`].
    fn eighths(&self, purpose: Purpose) -> u32 {
        if self.format != Format::Jpeg {
            return WHOLE;
        }
        let side = |n: u32, eighths: u32| u64::from(n) * u64::from(eighths) / u64::from(WHOLE);
        let enough = |eighths: &u32| {
            let (width, height) = (side(self.width, *eighths), side(self.height, *eighths));
            match purpose {
                Purpose::Face => width.min(height) >= FACE_SIDE,
                Purpose::Photo => width * height >= PHOTO_PIXELS,
            }
        };
        (1..WHOLE).find(enough).unwrap_or(WHOLE)
    }

    /// The gray pixels as they are stored, and the orientation in which to show them.
    ///
    /// A JPEG at `eighths` of the size, rounded up; the other formats at full size.
    fn into_stored(self, eighths: u32) -> Result<(LumaImage, Orientation), ImageError> {
        let mut decoder = match self.decoder {
            Decoder::Jpeg(jpeg) => return Ok((jpeg.decode(eighths)?, jpeg.orientation())),
            Decoder::Other(decoder) => decoder,
        };
        let format = self.format;
        let fail = |error| ImageError::from_decoder(format, error);
        let mut budget = self.limits.memory();
        budget.reserve(decoder.total_bytes()).map_err(fail)?;
        decoder.set_limits(budget).map_err(fail)?;
        // Unreadable metadata do not make the image unreadable.
        let mut orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        if format == Format::Png && orientation == Orientation::NoTransforms {
            orientation = orient::of_png(self.bytes);
        }
        let color = decoder.color_type();
        let alpha = if format == Format::Tiff && color.has_alpha() {
            tiff_alpha(self.bytes)
        } else {
            Alpha::Straight
        };
        let length = usize::try_from(decoder.total_bytes())
            .map_err(|error| ImageError::broken_by(format, Reason::TooMuchMemory, error))?;
        let mut pixels = vec![0; length];
        decoder.read_image_boxed(&mut pixels).map_err(fail)?;
        let pixels = luma::from_pixels(color, pixels, alpha)
            .ok_or(ImageError::broken(format, Reason::Unsupported(Kind::Other)))?;
        Ok((LumaImage::new(self.width, self.height, pixels), orientation))
    }
}

impl<'a> Decoder<'a> {
    fn new(format: Format, bytes: &'a [u8], limits: &Limits) -> Result<Self, ImageError> {
        let reader = Cursor::new(bytes);
        let fail = |error| ImageError::from_decoder(format, error);
        Ok(Self::Other(match format {
            Format::Jpeg => return Jpeg::open(bytes, limits).map(Self::Jpeg),
            Format::Png => {
                let (width, height) = guard::png_size(bytes).unwrap_or_default();
                let memory = limits.memory_of(width, height, bytes.len());
                Box::new(PngDecoder::with_limits(reader, memory).map_err(fail)?)
            }
            Format::WebP => Box::new(WebPDecoder::new(reader).map_err(fail)?),
            Format::Gif => Box::new(GifDecoder::new(reader).map_err(fail)?),
            Format::Bmp => Box::new(BmpDecoder::new(reader).map_err(fail)?),
            Format::Tiff => Box::new(TiffDecoder::new(reader).map_err(fail)?),
            Format::Pnm => Box::new(PnmDecoder::new(reader).map_err(fail)?),
        }))
    }
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
