//! WebP's chunks: canvas, frames and the header of every bitstream.

use crate::{Format, ImageError, Limits, Reason};

/// Bytes that a lossless bitstream may have beyond four for each pixel, which is its size without compression.
const LOSSLESS_SLACK: u64 = 16 << 10;

/// Checks the canvas and every bitstream: the decoder sizes its planes by the bitstream's own header
/// and buffers by chunk lengths, and compares them with the canvas and the file only later.
pub(super) fn check(bytes: &[u8], limits: &Limits) -> Result<(), ImageError> {
    let header = bytes.get(4..).and_then(<[u8]>::first_chunk);
    let size = u32::from_le_bytes(*header.ok_or(broken(Reason::CutShort))?) as usize;
    // The size counts from the name `WEBP` on.
    let chunks = bytes.get(12..).zip(size.checked_sub(4));
    let (rest, length) = chunks.ok_or(broken(Reason::Damaged))?;
    check_chunks(rest.get(..length).ok_or(broken(Reason::CutShort))?, None, limits)
}

fn broken(reason: Reason) -> ImageError {
    ImageError::broken(Format::WebP, reason)
}

/// Checks the file's chunks, or those inside a frame of the size `frame`.
fn check_chunks(mut rest: &[u8], frame: Option<(u32, u32)>, limits: &Limits) -> Result<(), ImageError> {
    let mut canvas = frame;
    while let Some((&[a, b, c, d, l0, l1, l2, l3], after)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let content = after.get(..length).ok_or(broken(Reason::CutShort))?;
        let name = &[a, b, c, d];
        let size = match name {
            b"VP8X" => content.get(4..10).and_then(two_of_24_bits),
            // Three bytes of frame tag and three of start code, then two sizes of 14 bits.
            b"VP8 " => content.get(6..).and_then(|size| {
                let &[w0, w1, h0, h1] = size.first_chunk()?;
                Some((
                    u32::from(u16::from_le_bytes([w0, w1]) & 0x3FFF),
                    u32::from(u16::from_le_bytes([h0, h1]) & 0x3FFF),
                ))
            }),
            // A signature byte, then two sizes of 14 bits, stored less one.
            b"VP8L" => content.get(1..).and_then(|size| {
                let bits = u32::from_le_bytes(*size.first_chunk()?);
                Some((1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)))
            }),
            // Reject nested frames here: the decoder recurses before rejecting them and overflows the stack.
            b"ANMF" if frame.is_some() => return Err(broken(Reason::Damaged)),
            b"ANMF" => {
                let (head, chunks) = content.split_at_checked(16).unwrap_or_default();
                let size = head.get(6..12).and_then(two_of_24_bits);
                check_chunks(chunks, size, limits)?;
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
        // An alpha plane is a lossless bitstream, too.
        match name {
            b"VP8L" => check_lossless(length, size)?,
            b"ALPH" => check_lossless(length, canvas)?,
            _ => {}
        }
        // With an alpha plane before it, the decoder assumes that a frame's two sizes are equal.
        if name == b"VP8 " && frame.is_some() && size != frame {
            return Err(broken(Reason::Damaged));
        }
        // Chunks are padded to even lengths.
        rest = after.get(length + length % 2..).unwrap_or_default();
    }
    Ok(())
}

/// Refuses a lossless bitstream longer than its pixels: the decoder builds trees of 40 kB for each of its code groups,
/// and only the stream's length limits their number.
fn check_lossless(length: usize, size: Option<(u32, u32)>) -> Result<(), ImageError> {
    let Some((width, height)) = size else {
        return Ok(());
    };
    let pixels = u64::from(width).saturating_mul(height.into());
    if length as u64 > pixels.saturating_mul(4).saturating_add(LOSSLESS_SLACK) {
        return Err(broken(Reason::TooMuchMemory));
    }
    Ok(())
}

/// Width and height of 24 bits each, stored less one.
fn two_of_24_bits(bytes: &[u8]) -> Option<(u32, u32)> {
    let &[w0, w1, w2, h0, h1, h2] = bytes.first_chunk()?;
    Some((
        1 + u32::from_le_bytes([w0, w1, w2, 0]),
        1 + u32::from_le_bytes([h0, h1, h2, 0]),
    ))
}
