//! Wrong, cut, damaged and malicious bytes: always an error or a picture, never a panic, never memory
//! for pixels that a header only claims.

use image::ExtendedColorType as Color;
use proptest::prelude::*;

use super::{
    draw::{encode, encode_with_exif, exif, face, flat_jpeg, png, tiff, to_rgb, to_rgba, webp, zlib},
    variants::animated_webp,
    *,
};

/// Small files of every format and of the layouts with their own code.
pub(crate) fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let gray = face(9, 7);
    let (rgb, rgba) = (to_rgb(&gray), to_rgba(&gray, 200));
    let rgb16: Vec<u8> = rgb.iter().flat_map(|&v| [v, 3]).collect();
    let gray_tiff: [(u16, &[u16]); 5] = [(258, &[8]), (259, &[1]), (262, &[1]), (277, &[1]), (274, &[6])];
    let ycc = [(1, 0x22, 90), (2, 0x11, 100), (3, 0x11, 150)];
    let cmyk = [(1, 0x11, 200), (2, 0x11, 120), (3, 0x11, 60), (4, 0x11, 128)];
    vec![
        (
            "jpeg",
            encode_with_exif(Format::Jpeg, Color::Rgb8, 9, 7, &rgb, Some(exif(6))),
        ),
        ("jpeg gray", encode(Format::Jpeg, Color::L8, 9, 7, &gray)),
        ("jpeg 4:2:0", flat_jpeg(21, 19, &ycc, None, false)),
        ("jpeg progressive", flat_jpeg(21, 19, &ycc, None, true)),
        ("jpeg cmyk", flat_jpeg(9, 7, &cmyk, Some(0), false)),
        ("jpeg rgb", flat_jpeg(9, 7, &cmyk[..3], Some(0), false)),
        (
            "png",
            encode_with_exif(Format::Png, Color::Rgba8, 9, 7, &rgba, Some(exif(5))),
        ),
        ("png 16", encode(Format::Png, Color::Rgb16, 9, 7, &rgb16)),
        (
            "png palette",
            png(
                (8, 2),
                1,
                3,
                &[(*b"PLTE", &[9, 8, 7, 200, 100, 50]), (*b"tRNS", &[255, 9])],
                &zlib(&[0, 0x55, 0, 0xAA], 1),
            ),
        ),
        ("webp", encode(Format::WebP, Color::Rgb8, 9, 7, &rgb)),
        (
            "webp alpha exif",
            encode_with_exif(Format::WebP, Color::Rgba8, 9, 7, &rgba, Some(exif(8))),
        ),
        ("webp lossy", WEBP_LOSSY.to_vec()),
        ("webp lossy alpha", WEBP_LOSSY_ALPHA.to_vec()),
        ("gif", encode(Format::Gif, Color::Rgba8, 9, 7, &rgba)),
        ("bmp", encode(Format::Bmp, Color::Rgb8, 9, 7, &rgb)),
        ("bmp palette", encode(Format::Bmp, Color::L8, 9, 7, &gray)),
        ("tiff", tiff(9, 7, &gray_tiff, &gray)),
        ("tiff 16", encode(Format::Tiff, Color::Rgb16, 9, 7, &rgb16)),
        ("pnm", encode(Format::Pnm, Color::Rgb8, 9, 7, &rgb)),
        ("pnm text", b"P2\n3 2\n255\n1 22 199 4 5 6 ".to_vec()),
        (
            "pam",
            b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n\x10\x80"
                .to_vec(),
        ),
    ]
}

#[test]
fn nothing_and_other_things_are_not_pictures() {
    assert!(matches!(decode(b"", &Limits::default()), Err(ImageError::Empty)));
    let strangers: [&[u8]; 9] = [
        b"\0",
        b"BM is a car",
        b"P8\n1 1\n",
        b"P5x",
        b"%PDF-1.7",
        b"<svg/>",
        b"RIFF\x04\0\0\0WAVE",
        b"GIF88a",
        b"\x89PNG\n",
    ];
    for bytes in strangers {
        assert!(
            matches!(
                decode(bytes, &Limits::default()),
                Err(ImageError::UnknownFormat(_))
            ),
            "{bytes:?}"
        );
    }
}

#[test]
fn every_sample_is_recognised_and_decoded() {
    for (name, file) in samples() {
        let format = Format::sniff(&file).unwrap();
        assert!(
            name.starts_with(&format.name().to_lowercase()) || name == "pam",
            "{name}"
        );
        face_of(&file);
    }
    let formats: std::collections::HashSet<_> = samples()
        .iter()
        .filter_map(|(_, file)| Format::sniff(file))
        .collect();
    assert_eq!(formats.len(), Format::ALL.len());
}

#[test]
fn an_opened_image_tells_its_size_and_memory_before_it_is_decoded() {
    for (name, file) in samples() {
        let open = || Opened::new(&file, &Limits::default()).unwrap();
        let luma = luma_of(&file);
        assert_eq!(Some(open().format()), Format::sniff(&file), "{name}");
        assert_eq!(open().pixels(), luma.pixels().len() as u64, "{name}");
        let least = open().pixels();
        assert!(open().memory(Purpose::Face) > least, "{name}");
        assert!(
            open().memory(Purpose::Photo) >= open().memory(Purpose::Face),
            "{name}"
        );
        assert_eq!(open().face().unwrap(), face_of(&file), "{name}");
        let photo = open().photo().unwrap();
        assert_eq!((photo.width, photo.height), (luma.width(), luma.height()));
        assert_eq!(photo.luma, luma, "{name}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_the_same_picture() {
    for (name, file) in samples() {
        let whole = luma_of(&file);
        let mut complete_at = file.len();
        for length in 0..file.len() {
            match decode_luma(&file[..length], &Limits::default()) {
                // What follows the last pixel (an end marker, a check sum, padding) may be missing.
                Ok(luma) => {
                    assert_eq!(
                        luma.pixels,
                        whole.pixels,
                        "{name} cut to {length} of {}",
                        file.len()
                    );
                    complete_at = complete_at.min(length);
                }
                Err(ImageError::Empty | ImageError::UnknownFormat(_) | ImageError::Broken { .. }) => {}
                Err(error) => panic!("{name} cut to {length}: {error}"),
            }
        }
        // Of a JPEG, only the end marker may; not where more scans could follow, as in the progressive one without AC.
        let optional = match name {
            "jpeg progressive" => Some(0),
            _ if name.starts_with("jpeg") => Some(2),
            _ if name.starts_with("webp") => Some(0),
            _ => None,
        };
        assert!(
            optional.is_none_or(|n| complete_at == file.len() - n),
            "{name}: {complete_at}"
        );
    }
}

#[test]
fn a_cut_file_is_called_cut_short() {
    let large = to_rgb(&face(120, 90));
    for format in [Format::Jpeg, Format::Png, Format::WebP, Format::Bmp, Format::Pnm] {
        let file = encode(format, Color::Rgb8, 120, 90, &large);
        let error = decode(&file[..file.len() * 3 / 4], &Limits::default()).unwrap_err();
        assert_eq!(
            reason_of(&error),
            Some(Reason::CutShort),
            "{format}: {:?}",
            error.detail()
        );
    }
}

#[test]
fn one_wrong_byte_never_panics() {
    for (_, file) in samples() {
        for at in 0..file.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF, file[at] ^ 0x10, file[at].wrapping_add(1)] {
                let mut file = file.clone();
                file[at] = value;
                let _ = decode_luma(
                    &file,
                    &Limits {
                        max_pixels: 1 << 20,
                        ..Limits::default()
                    },
                );
            }
        }
    }
}

/// Headers that claim `width × height` in a few dozen bytes.
pub(crate) fn claims(width: u16, height: u16) -> Vec<(&'static str, Vec<u8>)> {
    let (w, h) = (u32::from(width), u32::from(height));
    let patch = |mut file: Vec<u8>, at: usize, bytes: &[u8]| {
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let le = [w.to_le_bytes(), h.to_le_bytes()].concat();
    let le16 = [width.to_le_bytes(), height.to_le_bytes()].concat();
    let rgb = to_rgb(&face(2, 2));
    let jpeg = flat_jpeg(8, 8, &[(1, 0x11, 90)], None, false);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap() + 5;
    let gray_tiff: [(u16, &[u16]); 4] = [(258, &[8]), (259, &[1]), (262, &[1]), (277, &[1])];
    let canvas = |v: u32| v.wrapping_sub(1).to_le_bytes()[..3].to_vec();
    vec![
        (
            "jpeg",
            patch(jpeg, frame, &[height.to_be_bytes(), width.to_be_bytes()].concat()),
        ),
        ("png", png((w, h), 8, 2, &[], &zlib(&[0], 1))),
        (
            "gif",
            patch(encode(Format::Gif, Color::Rgb8, 2, 2, &rgb), 6, &le16),
        ),
        (
            "bmp",
            patch(encode(Format::Bmp, Color::Rgb8, 2, 2, &rgb), 18, &le),
        ),
        ("bmp from the top", {
            let le = [w.to_le_bytes(), h.wrapping_neg().to_le_bytes()].concat();
            patch(encode(Format::Bmp, Color::Rgb8, 2, 2, &rgb), 18, &le)
        }),
        ("tiff", tiff(w, h, &gray_tiff, &[0; 4])),
        ("pnm", format!("P5\n{w} {h}\n255\n").into_bytes()),
        ("pnm text", format!("P3\n{w} {h}\n255\n").into_bytes()),
        (
            "pam",
            format!("P7\nWIDTH {w}\nHEIGHT {h}\nDEPTH 4\nMAXVAL 65535\nTUPLTYPE RGB_ALPHA\nENDHDR\n")
                .into_bytes(),
        ),
        (
            "webp canvas",
            webp(&[
                (*b"VP8X", &[&[0; 4][..], &canvas(w), &canvas(h)].concat()),
                (*b"VP8L", &[0x2F, 0, 0, 0, 0]),
            ]),
        ),
    ]
}

#[test]
fn claimed_sizes_are_refused_from_the_header() {
    for (name, file) in claims(60_000, 60_000) {
        match decode(&file, &Limits::default()) {
            Err(ImageError::TooManyPixels {
                width: 60_000,
                height: 60_000,
                ..
            }) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    // WebP's two bitstreams can say 16,383 at most.
    let lossy = [&WEBP_LOSSY[20..26], &[0xFF, 0x3F, 0xFF, 0x3F]].concat();
    let lossless = [0x2F, 0xFE, 0xBF, 0xFF, 0x0F];
    for file in [webp(&[(*b"VP8 ", &lossy)]), webp(&[(*b"VP8L", &lossless)])] {
        let result = decode(&file, &Limits::default());
        assert!(
            matches!(
                result,
                Err(ImageError::TooManyPixels {
                    width: 16_383,
                    height: 16_383,
                    ..
                })
            ),
            "{result:?}"
        );
    }
}

#[test]
fn a_webp_frame_whose_bitstream_has_another_size_is_damaged() {
    // The 16×16 still as a frame of 8×8 with an alpha plane: indices would run out of the plane.
    let head = |side: u8| [0, 0, 0, 0, 0, 0, side - 1, 0, 0, side - 1, 0, 0, 100, 0, 0, 0];
    let animation = |side: u8| {
        let frame = [&head(side)[..], &WEBP_LOSSY_ALPHA[30..]].concat();
        webp(&[
            (*b"VP8X", &[0x12, 0, 0, 0, side - 1, 0, 0, side - 1, 0, 0]),
            (*b"ANIM", &[0; 6]),
            (*b"ANMF", &frame),
        ])
    };
    assert_eq!(luma_of(&animation(16)).pixels.len(), 256);
    for side in [8, 17] {
        let error = decode(&animation(side), &Limits::default()).unwrap_err();
        assert_eq!(reason_of(&error), Some(Reason::Damaged), "{side}");
    }
}

#[test]
fn extended_xmp_is_not_collected() {
    let jpeg = encode(Format::Jpeg, Color::L8, 16, 16, &face(16, 16));
    let content = [
        b"http://ns.adobe.com/xmp/extension/\0".as_slice(),
        &[b'0'; 32],
        &[0, 1, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let length = (content.len() as u16 + 2).to_be_bytes();
    let segment = [&[0xFF, 0xE1][..], &length, &content].concat();
    // Sorted at each of them, a hundred thousand would take the better part of a minute.
    let file = [&jpeg[..2], &segment.repeat(100_000), &jpeg[2..]].concat();
    assert_eq!(luma_of(&file).pixels, luma_of(&jpeg).pixels);
}

#[test]
fn a_webp_of_frames_in_frames_is_damaged_however_deep() {
    const LEVELS: u32 = 1_000_000;
    let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
    for level in (0..LEVELS).rev() {
        file.extend(*b"ANMF");
        file.extend((16 + 24 * level).to_le_bytes());
        file.extend([0; 16]);
    }
    let length = (file.len() as u32 - 8).to_le_bytes();
    file[4..8].copy_from_slice(&length);
    let error = decode(&file, &Limits::default()).unwrap_err();
    assert_eq!(reason_of(&error), Some(Reason::Damaged));
}

#[test]
fn both_limits_count_and_the_message_says_so() {
    let file = encode(Format::Png, Color::L8, 30, 20, &face(30, 20));
    let limits = |max_pixels, max_side| Limits { max_pixels, max_side };
    assert!(decode(&file, &limits(600, 30)).is_ok());
    for limits in [limits(599, 30), limits(600, 29)] {
        let error = decode(&file, &limits).unwrap_err();
        assert!(matches!(error, ImageError::TooManyPixels { .. }), "{error}");
        assert!(error.to_string().contains("30×20") && error.detail().is_none());
        assert!(error.to_string().contains(&format!(
            "{} pixels in all and {} on a side",
            limits.max_pixels, limits.max_side
        )));
    }
}

#[test]
fn a_gif_frame_larger_than_the_canvas_is_bounded_too() {
    let mut gif = encode(Format::Gif, Color::Rgb8, 2, 2, &to_rgb(&face(2, 2)));
    let image = gif.iter().rposition(|&byte| byte == b',').unwrap();
    gif[image + 5..image + 9].copy_from_slice(&[0xFF; 4]);
    assert!(decode(&gif, &Limits::default()).is_err());
}

#[test]
fn no_width_or_no_height_is_an_error() {
    for (width, height) in [(0, 5), (5, 0), (0, 0)] {
        // A WebP canvas stores its sizes less one, so it cannot say 0; a GIF's screen of 0 has its frame's size.
        for (name, file) in claims(width, height)
            .into_iter()
            .filter(|(name, _)| !["webp canvas", "gif"].contains(name))
        {
            let error = decode(&file, &Limits::default()).unwrap_err();
            assert!(matches!(error, ImageError::Broken { .. }), "{name}: {error}");
        }
    }
}

#[test]
fn messages_keep_the_inside_to_themselves() {
    let file = encode(Format::Png, Color::L8, 48, 48, &face(48, 48));
    let error = decode(&file[..200], &Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the PNG is cut short: its data end before the picture does"
    );
    assert!(error.detail().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(which in 0..24_usize, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let starts: [&[u8]; 16] = [
            b"", b"\xFF\xD8\xFF", b"\xFF\xD8\xFF\xC0\0\x11\x08\0\x10\0\x10\x03\x01\x22\0\x02\x11\x01\x03\x11\x01",
            b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x08\0\0\0\x08",
            b"RIFF\x90\x01\0\0WEBPVP8 \x80\x01\0\0\x30\x01\0\x9d\x01\x2a\x10\0\x10\0", b"RIFF\x90\x01\0\0WEBPVP8L\x80\x01\0\0\x2f\x07\xc0\x01\0",
            b"RIFF\x90\x01\0\0WEBPVP8X\x0a\0\0\0\x12\0\0\0\x07\0\0\x07\0\0", b"GIF89a", b"GIF89a\x08\0\x08\0\xf0\0\0",
            b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x08\0\0\0\x08\0\0\0\x01\0", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"P1 8 8 ", b"P6 2 2 255 ", b"P7\n",
        ];
        let file = [starts.get(which).copied().unwrap_or(b"\xFF\xD8\xFF"), &bytes].concat();
        let _ = decode(&file, &Limits { max_pixels: 1 << 20, max_side: 4096 });
    }

    #[test]
    fn damaged_files_never_panic(which in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut files = samples();
        files.push(("webp animated", animated_webp()));
        let (_, mut file) = files.swap_remove(which.index(files.len()));
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        let _ = decode(&file, &Limits { max_pixels: 1 << 20, max_side: 4096 });
    }

    #[test]
    fn any_48_by_48_gray_png_is_its_bytes(pixels in prop::collection::vec(any::<u8>(), PIXELS)) {
        let face = Face::from_gray(&pixels).unwrap();
        prop_assert_eq!(face_of(&gray_png(&face)), face);
    }
}
