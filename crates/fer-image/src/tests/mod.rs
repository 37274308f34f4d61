//! Tests of the whole way from bytes to face, with images drawn here.

use super::*;

pub(crate) mod draw;
mod formats;
pub(crate) mod hostile;
mod jpeg;
mod jpeg_files;
mod pixels;
mod quirks;
pub(crate) mod variants;

/// A lossy 16×16 WebP of the flat colour (200, 120, 60), written by libwebp.
const WEBP_LOSSY: &[u8] = b"RIFF\x34\0\0\0WEBPVP8 \x28\0\0\0\x90\x01\0\x9d\x01\x2a\x10\0\x10\0\x02\xc0\x4c\
    \x25\xa0\x02\x74\xba\0\x03\x98\0\xfe\x87\xd7\xf5\xb5\xed\xbc\x37\x8f\xfa\xbb\x76\xb3\x3c\x18\0\0\0";

/// The same with a flat alpha of 128.
const WEBP_LOSSY_ALPHA: &[u8] = b"RIFF\x58\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\x0f\0\0\x0f\0\0ALPH\x0a\0\0\0\
    \x01\x07\x50\xc0\x88\x08\x44\x44\xff\x03VP8 \x28\0\0\0\x90\x01\0\x9d\x01\x2a\x10\0\x10\0\x02\xc0\x4c\
    \x25\xa0\x02\x74\xba\0\x03\x98\0\xfe\x87\xd7\xf5\xb5\xed\xbc\x37\x8f\xfa\xbb\x76\xb3\x3c\x18\0\0\0";

fn face_of(bytes: &[u8]) -> Face {
    decode(bytes, &Limits::default()).unwrap_or_else(|error| panic!("{error}: {:?}", error.detail()))
}

fn luma_of(bytes: &[u8]) -> LumaImage {
    decode_luma(bytes, &Limits::default()).unwrap_or_else(|error| panic!("{error}: {:?}", error.detail()))
}

/// The face as an 8-bit gray PNG, which decodes to the same bytes.
fn gray_png(face: &Face) -> Vec<u8> {
    draw::encode(Format::Png, image::ExtendedColorType::L8, SIDE, SIDE, &face.0)
}

/// Largest difference of two images' pixels.
fn distance(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

fn reason_of(error: &ImageError) -> Option<Reason> {
    match error {
        ImageError::Broken { reason, .. } => Some(*reason),
        _ => None,
    }
}
