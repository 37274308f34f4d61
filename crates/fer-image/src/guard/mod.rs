//! Checks what a header claims before a decoder reads the bytes.
//!
//! For formats whose decoder reserves memory, or refuses with an error of its own, before it tells
//! the image's size. The other decoders tell the size first; `decode` checks it then.

mod tiff;
mod webp;

use crate::{Format, ImageError, Limits};

/// Refuses images whose header claims more than `limits`, and TIFFs whose tags do.
pub(crate) fn check(format: Format, bytes: &[u8], limits: &Limits) -> Result<(), ImageError> {
    let size = match format {
        Format::Png => png_size(bytes),
        Format::Bmp => bmp_size(bytes),
        Format::WebP => return webp::check(bytes, limits),
        Format::Tiff => return tiff::check(bytes),
        Format::Jpeg | Format::Gif | Format::Pnm => None,
    };
    size.map_or(Ok(()), |(width, height)| limits.check(format, width, height))
}

/// IHDR is the first chunk: signature 8, length 4, name 4, width 4, height 4.
pub(crate) fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let size = bytes.get(12..24)?.strip_prefix(b"IHDR")?;
    Some((
        u32::from_be_bytes(*size.first_chunk()?),
        u32::from_be_bytes(*size.last_chunk()?),
    ))
}

/// The second header is 12 bytes with 16-bit sizes, or longer with 32-bit ones; a negative height
/// means rows from the top.
fn bmp_size(bytes: &[u8]) -> Option<(u32, u32)> {
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
