//! TIFF's first directory, read before the decoder sees it.

use super::{Format, ImageError, Reason};

/// Values that a tag which the decoder reads may have: a strip for each of 65,535 rows, twice over.
const MOST: u64 = 1 << 17;
/// Tags from here on hold metadata that the decoder leaves alone; some, an ICC profile, are long by nature.
const METADATA: u64 = 600;
/// Text, which it leaves alone, too.
const ASCII: u64 = 2;

/// Refuses tags that claim more values than any picture within the limits has: the decoder reserves 32 bytes for each before it
/// looks whether the file has them, up to 256 MiB.
pub(super) fn check(bytes: &[u8]) -> Result<(), ImageError> {
    match longest(bytes) {
        Some(count) if count > MOST => Err(ImageError::broken(Format::Tiff, Reason::TooMuchMemory)),
        _ => Ok(()),
    }
}

/// Most values of a tag that the decoder reads (TIFF 6.0, section 2; BigTIFF has 64-bit offsets and counts). What is not whole is for the
/// decoder to say.
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
    let (word, head, entry) = if big { (8, 8, 20) } else { (4, 2, 12) };
    let directory = number(if big { 8 } else { 4 }, word)?;
    let entries = number(directory, head)?;
    let first = directory.checked_add(head as u64)?;
    let mut longest = 0;
    for i in 0..entries {
        let at = first.checked_add(i.checked_mul(entry)?)?;
        // Beyond the file's end there are no more.
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
                (273, 4, MOST),
                (34_675, 7, 1 << 22),
            ];
            assert_eq!(longest(&file(little, big, &right)), Some(MOST));
            assert!(check(&file(little, big, &right)).is_ok());
            let long = [(256, 4, 1), (262, 3, MOST + 1)];
            let refused = check(&file(little, big, &long)).unwrap_err().to_string();
            assert!(refused.contains("too much memory"), "{refused}");
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
