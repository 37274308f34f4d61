//! TIFF by the `tiff` crate, along with what that crate leaves to its caller: the order of bits in a byte, palettes, gray
//! with alpha, gray of fewer than 8 bits, planes.

use std::{borrow::Cow, io::Cursor};

use image::{ColorType as Layout, metadata::Orientation};
use tiff::{
    ColorType, TiffError,
    decoder::{Decoder, Limits},
    tags::Tag,
};

use super::{
    exif,
    luma::{self, Alpha, LumaImage},
    source::Source,
};
use crate::{Format, ImageError, Kind, Reason};

/// JPEG in TIFF, old and new (TIFF 6.0, section 22; Technical Note 2).
const JPEG: [u64; 2] = [6, 7];
/// Floating point (TIFF 6.0, section 19).
const FLOAT: u64 = 3;
/// FillOrder: the lowest bit of a byte comes first.
const LOW_BIT_FIRST: u64 = 2;
/// PhotometricInterpretation: gray where 0 is black; indices of a palette.
const GRAY: u8 = 1;
const PALETTE: u64 = 3;
/// ExtraSamples: alpha whose colours are multiplied by it; alpha beside unchanged colours (TIFF 6.0, section 18).
const ASSOCIATED: u64 = 1;
const UNASSOCIATED: u64 = 2;
/// Most samples of a pixel.
const MAX_SAMPLES: u64 = 8;

/// A TIFF whose first directory is read.
pub(super) struct Tiff<'a> {
    decoder: Decoder<Cursor<Cow<'a, [u8]>>>,
    size: (u32, u32),
    color: ColorType,
    /// Bytes of all planes, and the number of planes.
    length: usize,
    planes: usize,
    /// The first extra sample.
    alpha: Option<Alpha>,
    /// The gray of each index.
    palette: Option<Vec<u8>>,
    orientation: Orientation,
    /// Bytes of a copy of the file.
    copied: usize,
}

fn broken(reason: Reason) -> ImageError {
    ImageError::broken(Format::Tiff, reason)
}

fn fail(error: TiffError) -> ImageError {
    let reason = match &error {
        TiffError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => Reason::CutShort,
        TiffError::UnsupportedError(tiff::TiffUnsupportedError::UnsupportedCompressionMethod(_)) => {
            Reason::Unsupported(Kind::Compression)
        }
        TiffError::UnsupportedError(_) => Reason::Unsupported(Kind::Channels),
        TiffError::LimitsExceeded => Reason::TooMuchMemory,
        _ => Reason::Damaged,
    };
    ImageError::broken_by(Format::Tiff, reason, error)
}

impl<'a> Tiff<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let mut decoder = Decoder::new(Cursor::new(Cow::Borrowed(bytes))).map_err(fail)?;
        let size = decoder.dimensions().map_err(fail)?;
        let mut numbers = |tag| {
            let found = decoder.find_tag_unsigned_vec::<u64>(tag);
            found.ok().flatten().unwrap_or_default()
        };
        if numbers(Tag::Compression).iter().any(|c| JPEG.contains(c)) {
            return Err(broken(Reason::Unsupported(Kind::Compression)));
        }
        if numbers(Tag::SampleFormat).contains(&FLOAT) {
            return Err(broken(Reason::Unsupported(Kind::FloatingPoint)));
        }
        if numbers(Tag::SamplesPerPixel).iter().any(|n| *n > MAX_SAMPLES) {
            return Err(broken(Reason::Unsupported(Kind::Channels)));
        }
        let alpha = match numbers(Tag::ExtraSamples).first() {
            Some(&ASSOCIATED) => Some(Alpha::Premultiplied),
            Some(&UNASSOCIATED) => Some(Alpha::Straight),
            _ => None,
        };
        let orientation = numbers(Tag::Orientation).first().copied();
        let orientation = orientation.and_then(|value| Orientation::from_exif(value.try_into().ok()?));
        let palette = numbers(Tag::PhotometricInterpretation).contains(&PALETTE);
        let palette = palette.then(|| gray_palette(&numbers(Tag::ColorMap)));
        let mut changed = Cow::Borrowed(bytes);
        if numbers(Tag::FillOrder).contains(&LOW_BIT_FIRST) {
            let mut reverse = |at: Tag, length: Tag| {
                for (at, length) in numbers(at).into_iter().zip(numbers(length)) {
                    let range = at as usize..at.saturating_add(length) as usize;
                    for byte in changed.to_mut().get_mut(range).unwrap_or_default() {
                        *byte = byte.reverse_bits();
                    }
                }
            };
            reverse(Tag::StripOffsets, Tag::StripByteCounts);
            reverse(Tag::TileOffsets, Tag::TileByteCounts);
        }
        if palette.is_some()
            && let Some(at) = photometric_at(bytes)
            && let Some(byte) = changed.to_mut().get_mut(at)
        {
            // The decoder gives indices only as if they were gray.
            *byte = GRAY;
        }
        let mut copied = 0;
        if let Cow::Owned(file) = changed {
            copied = file.len();
            decoder = Decoder::new(Cursor::new(Cow::Owned(file))).map_err(fail)?;
        }
        let color = decoder.colortype().map_err(fail)?;
        let layout = decoder.image_buffer_layout().map_err(fail)?;
        Ok(Self {
            decoder,
            size,
            color,
            length: layout.complete_len,
            planes: layout.planes,
            alpha,
            palette,
            orientation: orientation.unwrap_or(Orientation::NoTransforms),
            copied,
        })
    }

    /// Interleaved samples of 8 or 16 bits in a layout that `luma` knows.
    fn arranged(&self, mut pixels: Vec<u8>) -> Option<(Layout, Vec<u8>)> {
        let (bits, samples) = match self.color {
            ColorType::Gray(bits) => (bits, 1),
            ColorType::RGB(bits) => (bits, 3),
            ColorType::RGBA(bits) | ColorType::CMYK(bits) => (bits, 4),
            ColorType::CMYKA(bits) => (bits, 5),
            ColorType::Multiband {
                bit_depth,
                num_samples,
            } => (bit_depth, usize::from(num_samples)),
            _ => return None,
        };
        if ![1, 2, 4, 8, 16].contains(&bits) {
            return None;
        }
        let wide = bits == 16;
        if self.planes > 1 {
            if self.planes != samples {
                return None;
            }
            pixels = interleaved(&pixels, samples, 1 + usize::from(wide));
        }
        if bits < 8 {
            if samples > 1 {
                return None;
            }
            // Without a palette the largest value is white.
            let factor = if self.palette.is_some() {
                1
            } else {
                255 / ((1 << bits) - 1)
            };
            pixels = unpacked(&pixels, self.size.0 as usize, bits, factor);
        }
        if let Some(palette) = &self.palette {
            if wide {
                return None;
            }
            for index in pixels.iter_mut().step_by(samples) {
                *index = palette.get(usize::from(*index)).copied().unwrap_or(0);
            }
        }
        let alpha = self.alpha.is_some();
        Some(match self.color {
            ColorType::Gray(_) => (if wide { Layout::L16 } else { Layout::L8 }, pixels),
            ColorType::RGB(_) => (if wide { Layout::Rgb16 } else { Layout::Rgb8 }, pixels),
            ColorType::RGBA(_) => (if wide { Layout::Rgba16 } else { Layout::Rgba8 }, pixels),
            ColorType::CMYK(_) | ColorType::CMYKA(_) if wide => {
                let ink = |c: [u8; 2], k: [u8; 2]| {
                    let [c, k] = [c, k].map(|v| u64::from(u16::MAX - u16::from_ne_bytes(v)));
                    ((c * k + 32_767) / 65_535) as u16
                };
                let rgb = pixels
                    .chunks_exact(2 * samples)
                    .flat_map(|inks| match inks.as_chunks().0 {
                        [c, m, y, k, ..] => [*c, *m, *y].map(|c| ink(c, *k)),
                        _ => [0; 3],
                    });
                (Layout::Rgb16, rgb.flat_map(u16::to_ne_bytes).collect())
            }
            ColorType::CMYK(_) | ColorType::CMYKA(_) => {
                let ink = |c: u8, k: u8| ((u32::from(255 - c) * u32::from(255 - k) + 127) / 255) as u8;
                let rgb = pixels.chunks_exact(samples).flat_map(|inks| match inks {
                    [c, m, y, k, ..] => [*c, *m, *y].map(|c| ink(c, *k)),
                    _ => [0; 3],
                });
                (Layout::Rgb8, rgb.collect())
            }
            _ => {
                // Gray, maybe alpha, and samples that mean nothing here.
                let size = 1 + usize::from(wide);
                let kept = size * (1 + usize::from(alpha));
                let kept = pixels
                    .chunks_exact(size * samples)
                    .flat_map(|pixel| pixel.iter().take(kept));
                let layout = match (alpha, wide) {
                    (false, false) => Layout::L8,
                    (false, true) => Layout::L16,
                    (true, false) => Layout::La8,
                    (true, true) => Layout::La16,
                };
                (layout, kept.copied().collect())
            }
        })
    }
}

impl Source for Tiff<'_> {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn memory(&self, _: u32) -> u64 {
        // The samples, once more while they are arranged, and the gray pixels.
        let pixels = u64::from(self.size.0) * u64::from(self.size.1);
        2 * self.length as u64 + 8 * pixels + self.copied as u64
    }

    fn decode(mut self: Box<Self>, _: u32) -> Result<(LumaImage, Orientation), ImageError> {
        let mut limits = Limits::default();
        limits.decoding_buffer_size = self.length;
        self.decoder = self.decoder.with_limits(limits);
        let mut pixels = vec![0; self.length];
        self.decoder.read_image_bytes(&mut pixels).map_err(fail)?;
        let alpha = self.alpha.unwrap_or(Alpha::Straight);
        let gray = self
            .arranged(pixels)
            .and_then(|(layout, pixels)| luma::from_pixels(layout, pixels, alpha));
        let (width, height) = self.size;
        let whole = |gray: &Vec<u8>| gray.len() as u64 == u64::from(width) * u64::from(height);
        let gray = gray
            .filter(whole)
            .ok_or(broken(Reason::Unsupported(Kind::Channels)))?;
        Ok((LumaImage::new(width, height, gray), self.orientation))
    }
}

/// Planes one after the other → samples of `size` bytes next to each other.
fn interleaved(planes: &[u8], samples: usize, size: usize) -> Vec<u8> {
    let planes: Vec<&[u8]> = planes.chunks_exact((planes.len() / samples).max(1)).collect();
    let pixels = planes.first().map_or(0, |plane| plane.len() / size);
    let mut pixel = Vec::with_capacity(pixels * samples * size);
    for at in (0..pixels).map(|i| i * size) {
        for plane in &planes {
            pixel.extend_from_slice(plane.get(at..at + size).unwrap_or_default());
        }
    }
    pixel
}

/// Rows of `width` values of fewer than 8 bits, each row in whole bytes → a byte for each, times `factor`.
fn unpacked(rows: &[u8], width: usize, bits: u8, factor: u8) -> Vec<u8> {
    let mask = (1_u8 << bits) - 1;
    let in_byte = usize::from(8 / bits);
    let values = |row: &[u8]| -> Vec<u8> {
        let bytes = row.iter().flat_map(|byte| {
            let places = (0..in_byte).rev().map(|place| place as u8 * bits);
            places.map(move |place| (byte >> place & mask) * factor)
        });
        bytes.take(width).collect()
    };
    let length = (width * usize::from(bits)).div_ceil(8).max(1);
    rows.chunks_exact(length).flat_map(values).collect()
}

/// The gray of each index of a colour map: all reds, then all greens and blues, of 16 bits each.
fn gray_palette(map: &[u64]) -> Vec<u8> {
    let colors = map.len() / 3;
    let part = |n: usize| map.get(n * colors..(n + 1) * colors).unwrap_or_default();
    let colors = part(0).iter().zip(part(1)).zip(part(2));
    // Writers who put 8 bits there are known to all readers.
    let narrow = map.iter().all(|value| *value < 256);
    let byte = |value: &u64| (if narrow { *value } else { value >> 8 }) as u8;
    let rgb: Vec<u8> = colors
        .flat_map(|((r, g), b)| [byte(r), byte(g), byte(b)])
        .collect();
    luma::from_rgb8(&rgb)
}

/// Where the low byte of PhotometricInterpretation is in the first directory (TIFF 6.0, section 2; BigTIFF has 64-bit
/// offsets and counts).
fn photometric_at(bytes: &[u8]) -> Option<usize> {
    const TAG: u64 = 262;
    let little = bytes.starts_with(b"II");
    let number = |at, size| exif::number(bytes, little, at, size);
    let big = number(2, 2)? == 43;
    let (word, head, entry) = if big { (8, 8, 20) } else { (4, 2, 12) };
    let directory = usize::try_from(number(if big { 8 } else { 4 }, word)?).ok()?;
    let entries = number(directory, head)?.min(u16::MAX.into()) as usize;
    let first = directory.checked_add(head)?;
    let at = (0..entries)
        .map(|i| first.saturating_add(i * entry))
        .find(|at| number(*at, 2) == Some(TAG))?;
    // Tag, type and count; then the value, a SHORT.
    let value = at + 4 + word;
    Some(if little { value } else { value + 1 })
}
