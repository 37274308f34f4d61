//! JPEG → gray by libjpeg (libjpeg-turbo's decoder, as mozjpeg carries it): the Y channel as it is, with no colour
//! conversion and no chroma upsampling, at full size or at some eighths of it.
//!
//! What counts as a whole file:
//! - Each scan has the data of all its blocks, and each channel has a scan. Else the file is cut short. libjpeg alone would
//!   go on with zero bits, which shows as gray and takes time for nothing.
//! - The end marker may be missing, as browsers have it; then a progressive file must have every bit of every
//!   coefficient, since it may have been cut between two scans.
//! - Wrong Huffman codes, restart markers and progressions are damage, and so is coding the same twice. Bytes between segments are not: cameras write them.
//!
//! A file without Huffman tables is decoded with the standard ones (frames of Motion JPEG have none).

mod ffi;

use image::metadata::Orientation;

use super::{exif, luma::LumaImage, source::Source};
use crate::{Format, ImageError, Kind, Limits, Reason};
use ffi::{Failed, Failure, Header};

/// The least pixels of an image whose scan `csrc/scan.c` reads: its tables pay from there on.
const OWN_SCAN: u64 = 300 * 300;

/// What libjpeg allocates besides coefficients for an image of that width: rows of blocks, Huffman tables.
fn rows(width: u32) -> u64 {
    (1 << 20) + 256 * u64::from(width)
}

/// A JPEG whose header is read.
pub(super) struct Jpeg<'a> {
    bytes: &'a [u8],
    header: Header,
}

impl<'a> Jpeg<'a> {
    pub(super) fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, ImageError> {
        let (header, result) = ffi::open(bytes);
        if let Err(failed) = result {
            // The size comes first, if it was read: its message says what is accepted.
            if header.width > 0 && header.height > 0 {
                limits.check(Format::Jpeg, header.width, header.height)?;
            }
            return Err(broken(failed));
        }
        Ok(Self { bytes, header })
    }

    /// The orientation to show it in.
    fn orientation(&self) -> Orientation {
        let (at, length) = self.header.exif;
        let block = self.bytes.get(at..at.saturating_add(length));
        exif::orientation(block.unwrap_or_default())
    }

    /// At `eighths` of the size. `own_scan` says which code reads a single scan.
    fn gray(&self, eighths: u32, own_scan: bool) -> Result<LumaImage, ImageError> {
        let (width, height) = self.scaled(eighths);
        let mut pixels = vec![0; width as usize * height as usize];
        ffi::decode(self.bytes, &self.header, eighths, own_scan, &mut pixels).map_err(broken)?;
        Ok(LumaImage::new(width, height, pixels))
    }

    fn scaled(&self, eighths: u32) -> (u32, u32) {
        let side = |n: u32| (u64::from(n) * u64::from(eighths)).div_ceil(8) as u32;
        (side(self.header.width), side(self.header.height))
    }
}

impl Source for Jpeg<'_> {
    fn size(&self) -> (u32, u32) {
        (self.header.width, self.header.height)
    }

    fn memory(&self, eighths: u32) -> u64 {
        let (width, height) = self.scaled(eighths);
        self.header.coefficients + rows(self.header.width) + u64::from(width) * u64::from(height)
    }

    fn decode(self: Box<Self>, eighths: u32) -> Result<(LumaImage, Orientation), ImageError> {
        let (width, height) = self.size();
        let own_scan = u64::from(width) * u64::from(height) >= OWN_SCAN;
        Ok((self.gray(eighths, own_scan)?, self.orientation()))
    }
}

fn broken((failure, message): Failed) -> ImageError {
    let reason = match failure {
        Failure::NoPixels => Reason::NoPixels,
        Failure::CutShort => Reason::CutShort,
        Failure::Damaged => Reason::Damaged,
        Failure::OutOfMemory => Reason::TooMuchMemory,
        Failure::LongSide => Reason::Unsupported(Kind::LongSide),
        Failure::Coding(marker) => Reason::Unsupported(coding(marker)),
        Failure::Precision => Reason::Unsupported(Kind::Precision),
        Failure::Channels => Reason::Unsupported(Kind::Channels),
        Failure::Sampling => Reason::Unsupported(Kind::Sampling),
    };
    ImageError::broken_by(Format::Jpeg, reason, message)
}

/// What a frame marker that is not read stands for (T.81, table B.1; T.87 for JPEG-LS).
fn coding(marker: u32) -> Kind {
    match marker {
        0xC3 => Kind::Lossless,
        0xC5..=0xC7 | 0xDE => Kind::Hierarchical,
        0xC9..=0xCB | 0xCD..=0xCF => Kind::Arithmetic,
        0xF7 => Kind::JpegLs,
        _ => Kind::Other,
    }
}

/// The image at `eighths` of its size, by libjpeg alone and with `csrc/scan.c`.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn both_ways(bytes: &[u8], eighths: u32) -> [Result<LumaImage, ImageError>; 2] {
    [false, true].map(|own_scan| Jpeg::open(bytes, &Limits::default())?.gray(eighths, own_scan))
}
