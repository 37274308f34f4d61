//! TIFF's first directory, read before the decoder reads it.

use std::io::Cursor;

use tiff::{
    decoder::{ChunkType, Decoder},
    tags::Tag,
};

use crate::{Format, ImageError, Reason};

/// Most values of a tag that the decoder reads: a strip for each of 65,535 rows, twice over.
const MAX_VALUES: u64 = 1 << 17;
/// Tags from here on hold metadata that the decoder does not read; some, an ICC profile, are long by nature.
const METADATA: u64 = 600;
/// The type of text, which the decoder does not read either.
const ASCII: u64 = 2;
/// Pixels that strips or tiles may have beyond the image's own.
const SLACK: u64 = 4 << 20;
/// JPEG in TIFF, old and new (TIFF 6.0, section 22; Technical Note 2): decoded whole, whatever its own size is.
const JPEG: [u64; 2] = [6, 7];
/// Floating point (TIFF 6.0, section 19).
const FLOAT: u64 = 3;

/// Refuses tags that claim more values than any image within the limits has, then strips and tiles that do not fit the
/// image or the file.
pub(super) fn check(bytes: &[u8]) -> Result<(), ImageError> {
    // The decoder reserves 32 bytes for each value, up to 256 MiB, before it checks that the file has them.
    match longest(bytes) {
        Some(count) if count > MAX_VALUES => refused(Reason::TooMuchMemory),
        _ => check_layout(bytes),
    }
}

fn refused(reason: Reason) -> Result<(), ImageError> {
    Err(ImageError::broken(Format::Tiff, reason))
}

/// Refuses strips and tiles that are larger than the image, or lie in the file more than once: the decoder reserves
/// a row of a strip or tile, and decodes each of them, whatever the image's size. Other defects are left to the decoder.
fn check_layout(bytes: &[u8]) -> Result<(), ImageError> {
    let Ok(mut decoder) = Decoder::new(Cursor::new(bytes)) else {
        return Ok(());
    };
    let Ok((width, height)) = decoder.dimensions() else {
        return Ok(());
    };
    let tiled = decoder.get_chunk_type() == ChunkType::Tile;
    let (chunk_width, mut chunk_height) = decoder.chunk_dimensions();
    if !tiled {
        // Writers of a single strip may say 2³² − 1 rows (the default of RowsPerStrip); it has the image's.
        chunk_height = chunk_height.min(height);
    }
    let [width, height, chunk_width, chunk_height] =
        [width, height, chunk_width, chunk_height].map(u64::from);
    let mut numbers = |tag| {
        let found = decoder.find_tag_unsigned_vec::<u64>(tag);
        found.ok().flatten().unwrap_or_default()
    };
    if numbers(Tag::Compression).iter().any(|c| JPEG.contains(c))
        || numbers(Tag::SampleFormat).contains(&FLOAT)
    {
        return refused(Reason::Unsupported(crate::Kind::Compression));
    }
    let samples = numbers(Tag::SamplesPerPixel).first().copied().unwrap_or(1);
    let bits = numbers(Tag::BitsPerSample).into_iter().max().unwrap_or(1);
    let (offsets, lengths) = if tiled {
        (Tag::TileOffsets, Tag::TileByteCounts)
    } else {
        (Tag::StripOffsets, Tag::StripByteCounts)
    };
    let (offsets, lengths) = (numbers(offsets), numbers(lengths));
    // All products saturate: every factor is a number that the file claims.
    let product = |n: &[u64]| n.iter().copied().fold(1, u64::saturating_mul);
    let pixels = product(&[width, height]);
    let chunk = product(&[chunk_width, chunk_height]);
    // The decoder's buffer for one row: a tile may be wider than a narrow image, but not by megabytes.
    let row = product(&[chunk_width, samples, bits.div_ceil(8)]);
    // What decoding all strips or tiles would write. Tiles reach over the right and lower edge, and planar files
    // store each sample on its own, so four times the image in each plane are accepted.
    let decoded = product(&[chunk, lengths.len() as u64]);
    let planes = samples.clamp(1, 8);
    if row > SLACK.saturating_add(product(&[16, width]))
        || chunk > pixels.max(SLACK)
        || decoded > product(&[4, pixels, planes]).saturating_add(SLACK)
    {
        return refused(Reason::TooMuchMemory);
    }
    let file = bytes.len() as u64;
    let stored = lengths.iter().copied().fold(0, u64::saturating_add);
    if stored > file {
        // Strips and tiles together are longer than the file: it was cut, the usual case, or they share bytes.
        let mut ends = offsets
            .iter()
            .zip(&lengths)
            .map(|(at, length)| at.saturating_add(*length));
        return refused(if ends.any(|end| end > file) {
            Reason::CutShort
        } else {
            Reason::TooMuchMemory
        });
    }
    Ok(())
}

/// The largest number of values that a tag which the decoder reads claims (TIFF 6.0, section 2; BigTIFF has 64-bit
/// offsets and counts); `None` if the file has no directory.
fn longest(bytes: &[u8]) -> Option<u64> {
    let little = bytes.starts_with(b"II");
    let number = |at: u64, size: usize| {
        let field = bytes.get(usize::try_from(at).ok()?..)?.get(..size)?;
        let shift = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
        Some(if little {
            field.iter().rev().fold(0, shift)
        } else {
            field.iter().fold(0, shift)
        })
    };
    let big = number(2, 2)? == 43;
    // Sizes of an offset or count, of the directory's length and of one of its entries.
    let (word, head, entry) = if big { (8, 8, 20) } else { (4, 2, 12) };
    let directory = number(if big { 8 } else { 4 }, word)?;
    let entries = number(directory, head)?;
    let first = directory.checked_add(head as u64)?;
    let mut longest = 0;
    for i in 0..entries {
        let at = first.checked_add(i.checked_mul(entry)?)?;
        // `entries` may be any number; the file's end stops the loop.
        let Some(tag) = number(at, 2) else { break };
        let (Some(kind), Some(count)) = (number(at + 2, 2), number(at + 4, word)) else {
            break;
        };
        if tag < METADATA && kind != ASCII {
            longest = longest.max(count);
        }
    }
    Some(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of these tags, kinds and counts.
    fn file(little: bool, big: bool, tags: &[(u16, u16, u64)]) -> Vec<u8> {
        let mut bytes = if little { b"II".to_vec() } else { b"MM".to_vec() };
        let mut put = |n: u64, size: usize| {
            let all = n.to_be_bytes();
            let field = &all[8 - size..];
            if little {
                bytes.extend(field.iter().rev());
            } else {
                bytes.extend(field);
            }
        };
        let word = if big { 8 } else { 4 };
        put(if big { 43 } else { 42 }, 2);
        if big {
            put(8, 2);
            put(0, 2);
        }
        put(if big { 16 } else { 8 }, word);
        put(tags.len() as u64, if big { 8 } else { 2 });
        for &(tag, kind, count) in tags {
            put(tag.into(), 2);
            put(kind.into(), 2);
            put(count, word);
            put(0, word);
        }
        bytes
    }

    #[test]
    fn long_tags_are_refused_in_every_kind_of_file() {
        for (little, big) in [(true, false), (false, false), (true, true), (false, true)] {
            let right = [
                (256, 4, 1),
                (270, ASCII as u16, 1 << 20),
                (273, 4, MAX_VALUES),
                (34_675, 7, 1 << 22),
            ];
            assert_eq!(longest(&file(little, big, &right)), Some(MAX_VALUES));
            assert!(check(&file(little, big, &right)).is_ok());
            let long = [(256, 4, 1), (262, 3, MAX_VALUES + 1)];
            let refused = check(&file(little, big, &long)).unwrap_err().to_string();
            assert!(refused.contains("too much memory"), "{refused}");
        }
    }

    /// A 16×16 image in 8-bit gray with these tags along with or instead of the usual ones: one strip of all rows.
    fn picture(more: &[(u16, u32, u32)]) -> Vec<u8> {
        let mut tags = std::collections::BTreeMap::from([
            (256, (1, 16)),
            (257, (1, 16)),
            (258, (1, 8)),
            (259, (1, 1)),
            (262, (1, 1)),
            (273, (1, 0)),
            (277, (1, 1)),
            (278, (1, 16)),
            (279, (1, 256)),
        ]);
        if more.iter().any(|(tag, ..)| *tag == 322) {
            tags.retain(|tag, _| ![273, 278, 279].contains(tag));
        }
        tags.extend(more.iter().map(|&(tag, count, value)| (tag, (count, value))));
        let mut bytes = b"II\x2A\0\x08\0\0\0".to_vec();
        bytes.extend((tags.len() as u16).to_le_bytes());
        for (tag, (count, value)) in tags {
            bytes.extend(u16::to_le_bytes(tag));
            bytes.extend(4_u16.to_le_bytes());
            bytes.extend(count.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        bytes.resize(1024, 0);
        bytes
    }

    #[test]
    fn strips_and_tiles_are_of_the_picture_and_of_the_file() {
        assert!(check(&picture(&[])).is_ok());
        // How many a writer that makes one strip says it has (TIFF 6.0, section 8: the default).
        assert!(check(&picture(&[(278, 1, u32::MAX)])).is_ok());
        let tiles = |width, length| [(322, 1, width), (323, 1, length), (324, 1, 0), (325, 1, 256)];
        assert!(
            check(&picture(&tiles(256, 256))).is_ok(),
            "larger than the picture, as tiles are"
        );
        let refusal = |tags: &[(u16, u32, u32)]| match check(&picture(tags)) {
            Err(error) => error.to_string(),
            Ok(()) => panic!("{tags:?} {:?}", Decoder::new(Cursor::new(picture(tags))).err()),
        };
        for (name, tags) in [
            ("a wide tile", &tiles(u32::MAX, 16)[..]),
            ("a large one", &tiles(1 << 14, 1 << 14)),
        ] {
            let text = refusal(tags);
            assert!(text.contains("too much memory"), "{name}: {text}");
        }
        let text = refusal(&[(279, 1, 4096)]);
        assert!(text.contains("cut short"), "more bytes than there are: {text}");
        // Sixteen strips of a row that all are the first 512 bytes.
        let mut file = picture(&[(278, 1, 1), (273, 16, 600), (279, 16, 700)]);
        for length in file[700..764].as_chunks_mut().0 {
            *length = 512_u32.to_le_bytes();
        }
        let text = check(&file).unwrap_err().to_string();
        assert!(
            text.contains("too much memory"),
            "the same bytes again and again: {text}"
        );
        for tags in [(259, 1, 7), (259, 1, 6), (339, 1, 3)] {
            let text = refusal(&[tags]);
            assert!(!text.contains("too much memory"), "{tags:?}: {text}");
        }
    }

    #[test]
    fn whatever_it_is_it_ends() {
        let whole = file(true, true, &[(262, 3, 5)]);
        for cut in 0..whole.len() {
            let _ = longest(&whole[..cut]);
        }
        // A directory of 2^64 - 1 entries, and one at the end of all addresses.
        let mut many = whole.clone();
        many[16..24].fill(0xFF);
        assert_eq!(longest(&many), Some(5));
        let mut far = whole;
        far[8..16].fill(0xFF);
        assert_eq!(longest(&far), None);
    }
}
