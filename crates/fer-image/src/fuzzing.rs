//! The body of the fuzz target `picture`: asserts what must hold for any bytes.
//!
//! `fuzz/` passes it bytes from libFuzzer; the tests pass it a corpus and its mutations on any toolchain. Compiled only for
//! tests and with the feature `fuzzing`.

use crate::{Format, Limits, decode as decode_face, decode::jpeg::both_ways, decode_luma};

/// Small, so that libFuzzer soon finds a claim beyond it, and one within it costs little: decoding may take 16 bytes a
/// pixel and 4 MiB, 20 MiB in all; `make fuzz` allows 64 MiB in one piece.
pub const LIMITS: Limits = Limits {
    max_pixels: 1 << 20,
    max_side: 8192,
};

/// Recognise, decode, turn upright, resize.
///
/// # Panics
/// If an image is larger than allowed, or the text for clients contains the decoder's message.
pub fn picture(bytes: &[u8]) {
    let face = decode_face(bytes, &LIMITS);
    let luma = decode_luma(bytes, &LIMITS);
    if let Ok(luma) = &luma {
        let (width, height) = (u64::from(luma.width()), u64::from(luma.height()));
        assert_eq!(luma.pixels().len() as u64, width * height);
        assert!(width > 0 && height > 0 && width * height <= LIMITS.max_pixels);
        assert!(luma.width().max(luma.height()) <= LIMITS.max_side);
    }
    assert_eq!(
        face.is_ok(),
        luma.is_ok(),
        "an image is readable for both uses or for none"
    );
    // libjpeg's own two readers differ on two bytes of ones before a zero.
    let odd = bytes.windows(3).any(|three| three == [0xFF, 0xFF, 0]);
    if luma.is_ok() && Format::sniff(bytes) == Some(Format::Jpeg) && !odd {
        for eighths in [1, 2, 3, 8] {
            if let [theirs, Ok(ours)] = both_ways(bytes, eighths) {
                assert_eq!(theirs.ok(), Some(ours), "the readers of a scan differ");
            }
        }
    }
    if let Err(error) = face {
        let text = error.to_string();
        assert!(text.len() < 200, "{text}");
        let detail = error.detail().filter(|detail| detail.len() > 12);
        assert!(
            detail.is_none_or(|detail| !text.contains(&detail)),
            "the decoder's message is in the text for clients: {text}"
        );
    }
}

/// What a process that decodes may send back, if an image has taken it over.
///
/// # Panics
/// If a reply is taken that has more faces than pixels, or more of them than were sent.
#[cfg(target_os = "linux")]
pub fn reply(bytes: &[u8]) {
    let faces = crate::helper::faces_in_replies(bytes);
    assert!(faces * crate::PIXELS <= bytes.len());
}

#[cfg(test)]
#[path = "../../../tests/support/fuzzing.rs"]
mod support;

#[cfg(test)]
mod tests {
    use super::{support::run, *};
    use crate::tests::{hostile, variants};

    fn seeds() -> Vec<Vec<u8>> {
        let samples = hostile::samples().into_iter().map(|(_, file)| file);
        let claims = hostile::claims(900, 800).into_iter().map(|(_, file)| file);
        samples.chain(claims).chain([variants::animated_webp()]).collect()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn replies_of_any_bytes() {
        let good: Vec<_> = seeds().iter().map(|file| crate::helper::reply_to(file)).collect();
        assert!(
            good.iter()
                .any(|reply| crate::helper::faces_in_replies(reply) == 1)
        );
        run("reply", reply, good, 10_000);
    }

    #[test]
    fn pictures_of_any_bytes() {
        // Otherwise the mutations would only ever meet the first check.
        assert!(decode_face(&seeds()[0], &LIMITS).is_ok());
        run("picture", picture, seeds(), 10_000);
    }
}
