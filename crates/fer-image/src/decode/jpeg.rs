//! JPEG → gray: the Y channel as it is, with no colour conversion and no chroma upsampling.
//!
//! Headers are read tolerantly; the scan is decoded strictly, so a damaged or cut scan is an error and
//! never an image with gray filling. A file without its end marker counts as cut short.

use std::borrow::Cow;

use image::metadata::Orientation;
use memchr::memmem;
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use super::luma::{self, LumaImage};
use crate::{Format, ImageError, Reason};

/// A JPEG whose headers are read.
pub(super) struct Jpeg<'a> {
    bytes: Cow<'a, [u8]>,
    markers: Markers,
    width: u32,
    height: u32,
}

impl<'a> Jpeg<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let markers = Markers::read(bytes);
        // Declared as YCbCr, the file is decoded; its three channels then come out as stored, which is RGB.
        let adobe = markers.rgb_marked_at.map(|at| (at, ADOBE_YCC));
        let xmp = memmem::find_iter(bytes, EXTENDED_XMP).map(|at| (at, b'-'));
        let bytes = with_bytes(bytes, adobe.into_iter().chain(xmp));
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&*bytes), options());
        decoder.decode_headers().map_err(broken)?;
        let info = decoder
            .info()
            .ok_or(ImageError::broken(Format::Jpeg, Reason::Damaged))?;
        let (width, height) = (u32::from(info.width), u32::from(info.height));
        Ok(Self {
            bytes,
            markers,
            width,
            height,
        })
    }

    /// Width and height as stored.
    pub(super) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Bytes of pixels and coefficients, at most: a progressive file keeps two bytes for each of three channels.
    pub(super) fn memory(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * 9
    }

    /// The gray pixels as stored, and the orientation to show them in.
    pub(super) fn decode(self) -> Result<(LumaImage, Orientation), ImageError> {
        let markers = &self.markers;
        if !markers.ends {
            return Err(ImageError::broken(Format::Jpeg, Reason::CutShort));
        }
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&*self.bytes), options());
        decoder.decode_headers().map_err(broken)?;
        let from = decoder.input_colorspace().unwrap_or(ColorSpace::YCbCr);
        let to = match from {
            ColorSpace::Luma => ColorSpace::Luma,
            // Y alone; all three channels as stored where the decoder would get Y alone wrong, or they are RGB.
            ColorSpace::YCbCr if markers.plain_sampling && markers.rgb_marked_at.is_none() => {
                ColorSpace::Luma
            }
            ColorSpace::YCbCr => ColorSpace::YCbCr,
            _ => ColorSpace::RGB,
        };
        decoder.set_options(options().set_strict_mode(true).jpeg_set_out_colorspace(to));
        let mut pixels = vec![0; self.width as usize * self.height as usize * to.num_components()];
        decoder.decode_into(&mut pixels).map_err(broken)?;
        let pixels = match to {
            ColorSpace::Luma => pixels,
            ColorSpace::YCbCr if markers.rgb_marked_at.is_none() => {
                pixels.as_chunks::<3>().0.iter().map(|[y, _, _]| *y).collect()
            }
            _ => luma::from_rgb8(&pixels),
        };
        let orientation = decoder
            .info()
            .and_then(|info| info.exif_data)
            .and_then(|exif| Orientation::from_exif_chunk(&exif))
            .unwrap_or(Orientation::NoTransforms);
        Ok((LumaImage::new(self.width, self.height, pixels), orientation))
    }
}

fn options() -> DecoderOptions {
    let side = usize::from(u16::MAX);
    DecoderOptions::default()
        .set_max_width(side)
        .set_max_height(side)
        .set_strict_mode(false)
}

fn broken(error: DecodeErrors) -> ImageError {
    let reason = match &error {
        DecodeErrors::ZeroError => Reason::NoPixels,
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => Reason::CutShort,
        DecodeErrors::Unsupported(_) => Reason::Unsupported,
        _ => Reason::Damaged,
    };
    ImageError::broken_by(Format::Jpeg, reason, error)
}

/// How a segment of extended XMP begins (XMP specification, part 3, section 1.1.3.1). Changing a byte of it makes the
/// decoder skip the segment: it collects such segments and sorts them at each marker, so that 20 MB of them took it
/// minutes. Their content is not needed.
const EXTENDED_XMP: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";

/// `bytes` with some of them changed; copied only if there are changes.
fn with_bytes(bytes: &[u8], changes: impl Iterator<Item = (usize, u8)>) -> Cow<'_, [u8]> {
    let mut changed = Cow::Borrowed(bytes);
    for (at, value) in changes {
        if let Some(byte) = changed.to_mut().get_mut(at) {
            *byte = value;
        }
    }
    changed
}

/// The colour transform of an Adobe segment that means YCbCr; 0 means "as stored".
const ADOBE_YCC: u8 = 1;

/// Facts that the decoder does not expose, read from the segments before the first scan.
struct Markers {
    /// The end marker follows the first scan's start. (A thumbnail's end marker lies before it.)
    ends: bool,
    /// 4:4:4, 4:2:2 or 4:2:0, as practically all files are. With other samplings the decoder's gray
    /// output is wrong or refused (4:4:0 comes from 4:2:2 photos turned without loss).
    plain_sampling: bool,
    /// Three channels that an Adobe segment declares to be RGB: where its transform byte is. The
    /// decoder recognises RGB only by the channels' names and refuses other such files.
    rgb_marked_at: Option<usize>,
}

impl Markers {
    fn read(bytes: &[u8]) -> Self {
        let (mut plain_sampling, mut channels, mut transform) = (false, 0, None);
        let mut at = 2;
        while let Some(&[0xFF, marker]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            if marker == 0xFF {
                // A fill byte.
                at += 1;
                continue;
            }
            let Some(&length) = bytes.get(at + 2..).and_then(<[u8]>::first_chunk) else {
                break;
            };
            let length = usize::from(u16::from_be_bytes(length));
            let segment = bytes
                .get(at + 4..(at + 2 + length).max(at + 4))
                .unwrap_or_default();
            match (marker, segment) {
                (START_OF_SCAN, _) => break,
                // Frame header: precision, height and width, number of channels, then three bytes for each channel.
                (0xC0..=0xC2, [_, _, _, _, _, count, parts @ ..]) => {
                    channels = *count;
                    plain_sampling = matches!(
                        parts.as_chunks().0,
                        [[_, 0x11 | 0x21 | 0x22, _], [_, 0x11, _], [_, 0x11, _]]
                    );
                    if parts.starts_with(b"R") {
                        // Named channels are recognised by the decoder.
                        channels = 0;
                    }
                }
                (0xEE, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, value, ..]) => {
                    // Behind marker, length, name, version and two words of flags.
                    transform = Some((*value, at + 4 + 11));
                }
                _ => {}
            }
            at += 2 + length;
        }
        let scans = bytes.get(at..).unwrap_or_default();
        Self {
            ends: scans.windows(2).rev().any(|pair| pair == END_OF_IMAGE),
            plain_sampling,
            rgb_marked_at: transform.and_then(|(value, at)| (value == 0 && channels == 3).then_some(at)),
        }
    }
}

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];
