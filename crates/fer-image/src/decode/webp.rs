//! What the WebP decoder takes for granted of a file.

use std::borrow::Cow;

use crate::{Format, ImageError, Reason};

/// RIFF's header: its name, the length of what follows, and `WEBP`.
const HEADER: usize = 12;
/// The header and length of a chunk.
const CHUNK: usize = 8;

/// The file as the decoder can take it: whole, and announcing only what it has. Some writers announce EXIF, XMP, alpha or
/// an animation in the `VP8X` chunk and leave it out.
///
/// # Errors
/// The file is shorter than it says, or an animation's first frame differs in size from its bitstream: the decoder would
/// write beyond its planes, which panics.
pub(super) fn checked(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ImageError> {
    let length = bytes.get(4..).and_then(<[u8]>::first_chunk).copied();
    let length = u32::from_le_bytes(length.unwrap_or_default()) as usize;
    if length > bytes.len() - CHUNK {
        return Err(ImageError::broken(Format::WebP, Reason::CutShort));
    }
    let chunks = chunks(bytes.get(HEADER..).unwrap_or_default());
    let first_frame = chunks.iter().find(|(name, _)| name == b"ANMF");
    if first_frame.is_some_and(|(_, frame)| !same_size(frame)) {
        return Err(ImageError::broken(Format::WebP, Reason::Damaged));
    }
    let Some((b"VP8X", [flags, ..])) = chunks.first().map(|(name, content)| (name, *content)) else {
        return Ok(Cow::Borrowed(bytes));
    };
    let has = |names: &[&[u8; 4]]| chunks.iter().any(|(name, _)| names.contains(&name));
    // Each flag, and whether there is what it announces. An animation's frames have their own alpha.
    let announced = [
        (0x02_u8, has(&[b"ANMF"])),
        (0x04, has(&[b"XMP "])),
        (0x08, has(&[b"EXIF"])),
        (0x10, has(&[b"ALPH", b"VP8L", b"ANMF"])),
    ];
    let missing = announced.into_iter().filter(|(_, there)| !there);
    let right = missing.fold(*flags, |flags, (flag, _)| flags & !flag);
    let mut file = Cow::Borrowed(bytes);
    if right != *flags
        && let Some(flags) = file.to_mut().get_mut(HEADER + CHUNK)
    {
        *flags = right;
    }
    Ok(file)
}

/// The names and contents of the chunks that are whole.
fn chunks(mut rest: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut chunks = Vec::new();
    while let Some((&[a, b, c, d, l0, l1, l2, l3], after)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some(content) = after.get(..length) else { break };
        chunks.push(([a, b, c, d], content));
        // Chunks are padded to even lengths.
        rest = after.get(length + length % 2..).unwrap_or_default();
    }
    chunks
}

/// Whether a frame with an alpha plane has the size of its lossy bitstream.
fn same_size(frame: &[u8]) -> bool {
    let (head, rest) = frame.split_at_checked(16).unwrap_or_default();
    let lossy = chunks(rest).into_iter().find(|(name, _)| name == b"VP8 ");
    let Some((_, &[_, _, _, _, _, _, w0, w1, h0, h1, ..])) = lossy else {
        return true;
    };
    let &[_, _, _, _, _, _, a, b, c, d, e, f, ..] = head else {
        return false;
    };
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    let stored = |a, b, c| 1 + u32::from_le_bytes([a, b, c, 0]);
    (side(w0, w1), side(h0, h1)) == (stored(a, b, c), stored(d, e, f))
}
