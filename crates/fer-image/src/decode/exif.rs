//! The orientation in an EXIF block.

use image::metadata::Orientation;

/// The orientation tag of a block's first directory (Exif 3.0, section 4.6.5.1), with or without the `Exif\0\0` that
/// precedes the block in a JPEG. The tag is a SHORT; some writers store a LONG or a BYTE. Nothing readable means none.
pub(crate) fn orientation(block: &[u8]) -> Orientation {
    value(block)
        .and_then(Orientation::from_exif)
        .unwrap_or(Orientation::NoTransforms)
}

fn value(block: &[u8]) -> Option<u8> {
    const TAG: u64 = 274;
    const BYTE: u64 = 1;
    const SHORT: u64 = 3;
    const LONG: u64 = 4;
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let little = block.starts_with(b"II");
    if !little && !block.starts_with(b"MM") {
        return None;
    }
    let number = |at, size| number(block, little, at, size);
    let directory = number(4, 4)? as usize;
    let entries = number(directory, 2)? as usize;
    let at = (0..entries)
        .map(|i| directory + 2 + 12 * i)
        .find(|at| number(*at, 2) == Some(TAG))?;
    let size = match number(at + 2, 2)? {
        BYTE => 1,
        SHORT => 2,
        LONG => 4,
        _ => return None,
    };
    u8::try_from(number(at + 8, size)?).ok()
}

/// The number of `size` bytes at that place of a TIFF or an EXIF block; `None` beyond its end.
pub(super) fn number(bytes: &[u8], little: bool, at: usize, size: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    let shift = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
    Some(if little {
        field.iter().rev().fold(0, shift)
    } else {
        field.iter().fold(0, shift)
    })
}
