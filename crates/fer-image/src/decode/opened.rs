//! Header first, pixels later: what lies between the two is the caller's decision.

use image::metadata::Orientation;

use super::{
    gif::Gif, jpeg::Jpeg, luma::LumaImage, orient, others::Other, photo::Photo, source::Source, tiff::Tiff,
};
use crate::{Face, Format, ImageError, Limits, Reason, SIDE, Unread, faces::MAX_PIXELS};

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
    format: Format,
    width: u32,
    height: u32,
    source: Box<dyn Source + 'a>,
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
        let source: Box<dyn Source> = match format {
            Format::Jpeg => Box::new(Jpeg::open(bytes, limits)?),
            Format::Gif => Box::new(Gif::open(bytes)?),
            Format::Tiff => Box::new(Tiff::open(bytes)?),
            Format::Png | Format::WebP | Format::Bmp | Format::Pnm => {
                Box::new(Other::open(format, bytes, limits)?)
            }
        };
        let (width, height) = source.size();
        limits.check(format, width, height)?;
        Ok(Self {
            format,
            width,
            height,
            source,
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
        let decoded = self.source.memory(self.eighths(purpose));
        // Turning makes a second gray image.
        let turned = match purpose {
            Purpose::Face => 0,
            Purpose::Photo => self.pixels(),
        };
        decoded.saturating_add(turned).saturating_add(Limits::OVERHEAD)
    }

    /// Decodes the image and squeezes the whole of it into a face; the aspect ratio is not kept. A 48×48 image is not
    /// resampled.
    ///
    /// # Errors
    /// [`ImageError::Broken`].
    pub fn face(self) -> Result<Face, ImageError> {
        let (format, eighths) = (self.format, self.eighths(Purpose::Face));
        let full = [self.width, self.height];
        let (image, orientation) = self.source.decode(eighths)?;
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
        let (image, orientation) = self.source.decode(eighths)?;
        let turned = orient::swaps_sides(orientation);
        let (width, height) = if turned { (height, width) } else { (width, height) };
        let luma = orient::upright(image, orientation);
        Ok(Photo { luma, width, height })
    }

    /// Decodes the image to gray at full size, upright.
    pub(super) fn luma(self) -> Result<LumaImage, ImageError> {
        let (image, orientation) = self.source.decode(WHOLE)?;
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
}
