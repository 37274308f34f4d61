//! Where a PNG may have its orientation besides an `eXIf` chunk before the pixels, which the decoder reads.

use std::io::Read;

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;

use super::exif;

/// Chunks whose text may be a raw profile.
const TEXTS: [[u8; 4]; 3] = [*b"tEXt", *b"zTXt", *b"iTXt"];
/// How the text of EXIF begins its keyword: ImageMagick and exiftool write it as hexadecimal digits.
const PROFILES: [&[u8]; 2] = [b"Raw profile type exif\0", b"Raw profile type APP1\0"];
/// More of a profile is not looked at: the orientation is in its first directory.
const MOST: u64 = 256 << 10;

/// The orientation in an `eXIf` chunk, which may also follow the pixels, or in a raw profile.
pub(super) fn orientation(bytes: &[u8]) -> Orientation {
    let mut rest = bytes.get(8..).unwrap_or_default();
    let mut found = Orientation::NoTransforms;
    while let Some((&[l0, l1, l2, l3, name @ ..], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let Some(content) = after.get(..length) else { break };
        if name == *b"eXIf" {
            return exif::orientation(content);
        }
        if TEXTS.contains(&name)
            && found == Orientation::NoTransforms
            && let Some(block) = raw_profile(name, content)
        {
            found = exif::orientation(&block);
        }
        // A checksum of four bytes follows.
        rest = after.get(length + 4..).unwrap_or_default();
    }
    found
}

/// The EXIF block in the text of a raw profile: a name, the block's length, and its bytes as hexadecimal digits.
fn raw_profile(chunk: [u8; 4], content: &[u8]) -> Option<Vec<u8>> {
    let text = PROFILES
        .iter()
        .find_map(|keyword| content.strip_prefix(*keyword))?;
    let inflated = |deflated: &[u8]| {
        let mut text = Vec::new();
        // What was read before an error counts: only the beginning matters.
        let _ = ZlibDecoder::new(deflated).take(MOST).read_to_end(&mut text);
        text
    };
    let text = match (&chunk, text) {
        (b"tEXt", text) => text.to_vec(),
        // The compression method.
        (b"zTXt", [0, deflated @ ..]) => inflated(deflated),
        (b"iTXt", [compressed, _, rest @ ..]) => {
            // The language and the translated keyword come first.
            let mut parts = rest.splitn(3, |byte| *byte == 0).skip(2);
            let text = parts.next()?;
            if *compressed == 0 {
                text.to_vec()
            } else {
                inflated(text)
            }
        }
        _ => return None,
    };
    let mut lines = text.trim_ascii_start().split(|byte| *byte == b'\n').skip(2);
    let digits: Vec<u8> = lines
        .by_ref()
        .flatten()
        .filter_map(|digit| char::from(*digit).to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    Some(
        digits
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[a, b]| a << 4 | b)
            .collect(),
    )
}
