//! What a header claims, read before a decoder sees the bytes.
//!
//! For formats whose decoder reserves memory, or refuses with an error of its own, before it tells
//! the picture's size. The other decoders tell the size first and are asked then.

use image::metadata::Orientation;

use super::{Format, ImageError, Limits, Reason, tiff_header};

/// Refuses pictures whose header claims more than `limits`, and TIFFs whose tags do.
pub(super) fn check(format: Format, bytes: &[u8], limits: &Limits) -> Result<(), ImageError> {
    let size = match format {
        Format::Png => png(bytes),
        Format::Bmp => bmp(bytes),
        Format::WebP => return webp(bytes, limits),
        Format::Tiff => return tiff_header::check(bytes),
        Format::Jpeg | Format::Gif | Format::Pnm => None,
    };
    size.map_or(Ok(()), |(width, height)| limits.check(format, width, height))
}

/// IHDR is the first chunk: signature 8, length 4, name 4, width 4, height 4.
pub(super) fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    let size = bytes.get(12..24)?.strip_prefix(b"IHDR")?;
    Some((
        u32::from_be_bytes(*size.first_chunk()?),
        u32::from_be_bytes(*size.last_chunk()?),
    ))
}

/// The orientation of an `eXIf` chunk wherever it is: the decoder hears only of one before the pixels.
pub(super) fn png_orientation(bytes: &[u8]) -> Orientation {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((&[l0, l1, l2, l3, name @ ..], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let Some(content) = after.get(..length) else { break };
        if name == *b"eXIf" {
            return Orientation::from_exif_chunk(content).unwrap_or(Orientation::NoTransforms);
        }
        // A check sum of four bytes follows.
        rest = after.get(length + 4..).unwrap_or_default();
    }
    Orientation::NoTransforms
}

/// The second header is 12 bytes with 16-bit sizes, or longer with 32-bit ones; a negative height
/// means rows from the top.
fn bmp(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.get(14..)?;
    let core = header.first() == Some(&12);
    let header = header.get(4..)?;
    if core {
        let &[w0, w1, h0, h1] = header.first_chunk()?;
        Some((
            u16::from_le_bytes([w0, w1]).into(),
            u16::from_le_bytes([h0, h1]).into(),
        ))
    } else {
        let &[width, height] = header.as_chunks::<4>().0.first_chunk()?;
        Some((
            i32::from_le_bytes(width).unsigned_abs(),
            i32::from_le_bytes(height).unsigned_abs(),
        ))
    }
}

/// The canvas and every bitstream in it: the decoder sizes its planes by the bitstream's own header
/// and buffers by chunk lengths, and compares them with the canvas and the file only later.
fn webp(bytes: &[u8], limits: &Limits) -> Result<(), ImageError> {
    let cut_short = || ImageError::broken(Format::WebP, Reason::CutShort);
    let &size = bytes
        .get(4..)
        .and_then(<[u8]>::first_chunk)
        .ok_or_else(cut_short)?;
    let chunks = bytes
        .get(12..)
        .zip((u32::from_le_bytes(size) as usize).checked_sub(4));
    let (rest, length) = chunks.ok_or(ImageError::broken(Format::WebP, Reason::Damaged))?;
    webp_chunks(rest.get(..length).ok_or_else(cut_short)?, None, limits)
}

/// Bytes that a lossless bitstream may have beyond four for each pixel, which is what it has uncompressed.
const LOSSLESS_SLACK: u64 = 16 << 10;

/// Refuses a lossless bitstream of more bytes than its pixels have: its code groups, for each of which the decoder builds trees of 40 kB,
/// are bounded by nothing else.
fn lossless_fits(length: usize, (width, height): (u32, u32)) -> Result<(), ImageError> {
    let pixels = u64::from(width).saturating_mul(height.into());
    if length as u64 > pixels.saturating_mul(4).saturating_add(LOSSLESS_SLACK) {
        return Err(ImageError::broken(Format::WebP, Reason::TooMuchMemory));
    }
    Ok(())
}

fn webp_chunks(mut rest: &[u8], frame: Option<(u32, u32)>, limits: &Limits) -> Result<(), ImageError> {
    let mut canvas = frame;
    while let Some((&[a, b, c, d, l0, l1, l2, l3], after)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some(content) = after.get(..length) else {
            return Err(ImageError::broken(Format::WebP, Reason::CutShort));
        };
        let name = &[a, b, c, d];
        let size = match name {
            b"VP8X" => content.get(4..10).and_then(webp_size),
            b"VP8 " => content.get(6..).and_then(|size| {
                let &[w0, w1, h0, h1] = size.first_chunk()?;
                Some((
                    u32::from(u16::from_le_bytes([w0, w1]) & 0x3FFF),
                    u32::from(u16::from_le_bytes([h0, h1]) & 0x3FFF),
                ))
            }),
            b"VP8L" => content.get(1..).and_then(|size| {
                let bits = u32::from_le_bytes(*size.first_chunk()?);
                Some((1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)))
            }),
            // Frames hold no frames, which the decoder says only later: a file of nothing else would be as deep as it is long.
            b"ANMF" if frame.is_some() => return Err(ImageError::broken(Format::WebP, Reason::Damaged)),
            b"ANMF" => {
                let (head, chunks) = content.split_at_checked(16).unwrap_or_default();
                let size = head.get(6..12).and_then(webp_size);
                webp_chunks(chunks, size, limits)?;
                size
            }
            _ => None,
        };
        if let Some((width, height)) = size {
            limits.check(Format::WebP, width, height)?;
        }
        if name == b"VP8X" {
            canvas = size;
        }
        // An alpha plane is such a bitstream, too.
        let lossless = match name {
            b"VP8L" => size,
            b"ALPH" => canvas,
            _ => None,
        };
        if let Some(size) = lossless {
            lossless_fits(length, size)?;
        }
        // With an alpha plane before it, the decoder trusts a frame's two sizes to be equal.
        if name == b"VP8 " && frame.is_some() && size != frame {
            return Err(ImageError::broken(Format::WebP, Reason::Damaged));
        }
        // Chunks are padded to even lengths.
        rest = after.get(length + length % 2..).unwrap_or_default();
    }
    Ok(())
}

/// Two sizes of 24 bits, stored less one.
fn webp_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let &[w0, w1, w2, h0, h1, h2] = bytes.first_chunk()?;
    Some((
        1 + u32::from_le_bytes([w0, w1, w2, 0]),
        1 + u32::from_le_bytes([h0, h1, h2, 0]),
    ))
}
