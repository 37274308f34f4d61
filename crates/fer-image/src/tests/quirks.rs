//! Files that break a rule, or use one that is rare, and are shown by browsers and viewers.

use image::{ExtendedColorType as Color, GrayImage};

use super::{
    draw::{encode, encode_with_exif, exif, face, png_chunk, tiff, to_rgb, webp, zlib},
    *,
};

const SIZE: (usize, usize) = (37, 23);

fn drawn() -> Vec<u8> {
    face(SIZE.0, SIZE.1)
}

/// A 32-bit BMP with masks for blue, green, red and alpha in this order of bytes; rows from the bottom.
fn bmp(gray: &[u8], alpha: impl Fn(usize) -> u8) -> Vec<u8> {
    let (width, height) = SIZE;
    let mut header = [
        108_u32,
        width as u32,
        height as u32,
        32 << 16 | 1,
        3,
        0,
        0,
        0,
        0,
        0,
    ]
    .map(u32::to_le_bytes)
    .concat();
    header.extend(
        [0xFF_0000_u32, 0xFF00, 0xFF, 0xFF00_0000]
            .map(u32::to_le_bytes)
            .concat(),
    );
    header.resize(108, 0);
    let start = 14 + header.len() as u32;
    let length = start + 4 * gray.len() as u32;
    let mut file = [
        b"BM",
        &[length, 0, start].map(u32::to_le_bytes).concat()[..],
        &header,
    ]
    .concat();
    for (y, row) in gray.chunks(width).enumerate().rev() {
        for (x, &v) in row.iter().enumerate() {
            file.extend([v, v, v, alpha(y * width + x)]);
        }
    }
    file
}

#[test]
fn a_bmp_whose_alpha_is_empty_is_opaque() {
    let gray = drawn();
    assert_eq!(luma_of(&bmp(&gray, |_| 0)).pixels(), gray);
    assert_eq!(luma_of(&bmp(&gray, |_| 255)).pixels(), gray);
    // One pixel that is not transparent, and all of them count.
    let seen = luma_of(&bmp(&gray, |i| if i == 5 { 255 } else { 0 }));
    assert_eq!(seen.pixels()[5], gray[5]);
    assert!(seen.pixels().iter().enumerate().all(|(i, &v)| i == 5 || v == 255));
}

/// The bits of rows of `width` samples, each row in whole bytes.
fn packed(samples: &[u8], width: usize, bits: usize) -> Vec<u8> {
    let row = |row: &[u8]| -> Vec<u8> {
        let in_byte = 8 / bits;
        let byte = |part: &[u8]| {
            (0..in_byte).fold(0_u16, |byte, i| {
                byte << bits | u16::from(*part.get(i).unwrap_or(&0))
            }) as u8
        };
        row.chunks(in_byte).map(byte).collect()
    };
    samples.chunks(width).flat_map(row).collect()
}

fn tiff_of(tags: &[(u16, &[u16])], strip: &[u8]) -> Vec<u8> {
    tiff(SIZE.0 as u32, SIZE.1 as u32, tags, strip)
}

#[test]
fn tiff_gray_of_any_depth_in_either_order_of_bits() {
    let gray = drawn();
    for bits in [1_u16, 2, 4, 8] {
        let most = (1_u16 << bits) - 1;
        let samples: Vec<u8> = gray.iter().map(|v| v >> (8 - bits)).collect();
        let expected: Vec<u8> = samples
            .iter()
            .map(|&v| (u16::from(v) * 255 / most) as u8)
            .collect();
        let strip = packed(&samples, SIZE.0, usize::from(bits));
        let reversed: Vec<u8> = strip.iter().map(|byte| byte.reverse_bits()).collect();
        for compression in [1_u16, 8] {
            let stored = |strip: &[u8]| {
                if compression == 8 {
                    zlib(strip, 1)
                } else {
                    strip.to_vec()
                }
            };
            let tags = |white_is_zero: u16| {
                vec![
                    (258_u16, vec![bits]),
                    (259, vec![compression]),
                    (262, vec![white_is_zero]),
                    (277, vec![1]),
                ]
            };
            let file = |more: &[(u16, Vec<u16>)], photometric: u16, strip: &[u8]| {
                let tags: Vec<_> = tags(photometric).into_iter().chain(more.to_vec()).collect();
                let tags: Vec<(u16, &[u16])> = tags.iter().map(|(tag, v)| (*tag, &v[..])).collect();
                luma_of(&tiff_of(&tags, strip)).pixels
            };
            assert_eq!(file(&[], 1, &stored(&strip)), expected, "{bits}");
            // FillOrder 2 is of the bytes in the file, compressed or not.
            let turned: Vec<u8> = if compression == 8 {
                stored(&strip).iter().map(|byte| byte.reverse_bits()).collect()
            } else {
                reversed.clone()
            };
            assert_eq!(file(&[(266, vec![2])], 1, &turned), expected, "{bits}");
            let negative: Vec<u8> = expected.iter().map(|v| 255 - v).collect();
            assert_eq!(file(&[(266, vec![2])], 0, &turned), negative, "{bits}");
        }
    }
}

#[test]
fn tiff_palettes() {
    let gray = drawn();
    for (bits, wide) in [(1_u16, true), (2, true), (4, true), (8, true), (8, false)] {
        let samples: Vec<u8> = gray.iter().map(|v| v >> (8 - bits)).collect();
        // Shades in a mixed order; a map of 16 bits, or of 8 as some writers make it.
        let shade = |i: u16| (i * 97 + 11) % 256;
        let all: Vec<u16> = (0..1 << bits)
            .map(|i| shade(i) * if wide { 257 } else { 1 })
            .collect();
        let map = all.repeat(3);
        let tags: [(u16, &[u16]); 5] = [(258, &[bits]), (259, &[1]), (262, &[3]), (277, &[1]), (320, &map)];
        let expected: Vec<u8> = samples.iter().map(|&i| shade(i.into()) as u8).collect();
        let file = tiff_of(&tags, &packed(&samples, SIZE.0, usize::from(bits)));
        assert_eq!(luma_of(&file).pixels, expected, "{bits} {wide}");
    }
    // Colours: 0.299·200 + 0.587·120 + 0.114·60 = 137.08.
    let map: Vec<u16> = [200_u16, 0, 120, 0, 60, 0].map(|v| v * 257).to_vec();
    let tags: [(u16, &[u16]); 5] = [(258, &[1]), (259, &[1]), (262, &[3]), (277, &[1]), (320, &map)];
    assert_eq!(luma_of(&tiff(2, 1, &tags, &[0b0100_0000])).pixels, [137, 0]);
}

#[test]
fn tiff_gray_with_alpha_and_planes() {
    let half_on_white = 177; // (100·128 + 255·127) / 255
    let with_alpha = |kind: u16, strip: &[u8]| {
        let tags: [(u16, &[u16]); 5] = [
            (258, &[8, 8]),
            (259, &[1]),
            (262, &[1]),
            (277, &[2]),
            (338, &[kind]),
        ];
        luma_of(&tiff(2, 1, &tags, strip)).pixels
    };
    assert_eq!(with_alpha(2, &[100, 128, 7, 255]), [half_on_white, 7]);
    assert_eq!(with_alpha(1, &[50, 128, 7, 255]), [half_on_white, 7]);
    // An extra sample that is no alpha.
    assert_eq!(with_alpha(0, &[100, 128, 7, 255]), [100, 7]);
    let tags: [(u16, &[u16]); 5] = [
        (258, &[16, 16]),
        (259, &[1]),
        (262, &[1]),
        (277, &[2]),
        (338, &[2]),
    ];
    let strip = [100 * 257_u16, 128 * 257, 7 * 257, 65_535]
        .map(u16::to_le_bytes)
        .concat();
    assert_eq!(luma_of(&tiff(2, 1, &tags, &strip)).pixels, [half_on_white, 7]);
    // CMYK with alpha: the alpha is passed over.
    let tags: [(u16, &[u16]); 5] = [(258, &[8; 5]), (259, &[1]), (262, &[5]), (277, &[5]), (338, &[2])];
    let strip = [0, 0, 0, 0, 9, 0, 0, 0, 255, 9];
    assert_eq!(luma_of(&tiff(2, 1, &tags, &strip)).pixels, [255, 0]);
    // Not read, and said so.
    for (tag, value, kind) in [
        (259, 3, Kind::Compression),
        (259, 7, Kind::Compression),
        (262, 8, Kind::Channels),
        (258, 3, Kind::Channels),
    ] {
        let mut tags = vec![
            (258_u16, vec![8_u16]),
            (259, vec![1]),
            (262, vec![1]),
            (277, vec![1]),
        ];
        for (name, values) in &mut tags {
            if *name == tag {
                *values = vec![value];
            }
        }
        let tags: Vec<(u16, &[u16])> = tags.iter().map(|(tag, v)| (*tag, &v[..])).collect();
        let error = decode(&tiff(2, 1, &tags, &[0; 8]), &Limits::default()).unwrap_err();
        assert_eq!(
            reason_of(&error),
            Some(Reason::Unsupported(kind)),
            "{tag} {value}: {:?}",
            error.detail()
        );
    }
}

#[test]
fn a_webp_that_announces_what_it_lacks() {
    let still = &WEBP_LOSSY[20..];
    let expected = luma_of(WEBP_LOSSY);
    for flags in [0x04, 0x08, 0x10, 0x02, 0x3E] {
        let file = webp(&[
            (*b"VP8X", &[flags, 0, 0, 0, 15, 0, 0, 15, 0, 0]),
            (*b"VP8 ", still),
        ]);
        assert_eq!(luma_of(&file), expected, "{flags:#x}");
    }
    // What it has still counts.
    let oriented = webp(&[
        (*b"VP8X", &[0x0C, 0, 0, 0, 15, 0, 0, 15, 0, 0]),
        (*b"VP8 ", still),
        (*b"EXIF", &exif(3)),
    ]);
    assert_eq!(luma_of(&oriented).pixels().len(), 256);
    assert_eq!(luma_of(WEBP_LOSSY_ALPHA).pixels()[0], 196);
}

#[test]
fn a_gif_screen_smaller_than_its_frame_has_the_frames_size() {
    let gray = drawn();
    let file = encode(Format::Gif, Color::Rgb8, SIZE.0, SIZE.1, &to_rgb(&gray));
    let descriptor = [b',', 0, 0, 0, 0, SIZE.0 as u8, 0, SIZE.1 as u8, 0];
    let frame = file.windows(9).position(|bytes| bytes == descriptor).unwrap();
    let with = |screen: [u8; 2], left: u8| {
        let mut file = file.clone();
        file[6..10].copy_from_slice(&[screen[0], 0, screen[1], 0]);
        file[frame + 1] = left;
        luma_of(&file)
    };
    for screen in [[0, 0], [10, 10], [200, 0], [36, 23]] {
        let luma = with(screen, 0);
        assert_eq!((luma.width(), luma.height()), (37, 23), "{screen:?}");
        assert_eq!(luma.pixels(), gray, "{screen:?}");
    }
    // A frame that fits, moved over the border, is cut off.
    let luma = with([37, 23], 30);
    assert_eq!(luma.pixels()[..30], [255; 30]);
    assert_eq!(luma.pixels()[30..37], gray[..7]);
}

/// The orientation as a LONG and in big-endian order.
fn long_exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x02".to_vec();
    block.extend([0x01, 0x0F, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0]);
    block.extend([0x01, 0x12, 0, 4, 0, 0, 0, 1, 0, 0, 0, orientation]);
    block.extend([0; 4]);
    block
}

#[test]
fn orientation_is_found_wherever_writers_put_it() {
    let upright = GrayImage::from_raw(37, 23, drawn()).unwrap();
    // 6: turned by 90° clockwise to be shown.
    let stored = image::imageops::rotate270(&upright);
    let (width, height) = (23, 37);
    let rgb = to_rgb(&stored);
    let plain = encode(Format::Png, Color::Rgb8, width, height, &rgb);
    // Behind the signature and the header.
    let with = |chunk: Vec<u8>| [&plain[..33], &chunk, &plain[33..]].concat();
    let prefixed = |block: Vec<u8>| [b"Exif\0\0", &block[..]].concat();
    let profile = |name: &str, block: &[u8]| {
        let digits: String = block.iter().map(|byte| format!("{byte:02x}")).collect();
        let lines: Vec<&str> = digits
            .as_bytes()
            .chunks(72)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!("\n{name}\n{:8}\n{}\n", block.len(), lines.join("\n"))
    };
    let text = |name: &str| profile(name, &prefixed(exif(6))).into_bytes();
    let mut files = vec![
        with(png_chunk(*b"eXIf", &prefixed(exif(6)))),
        with(png_chunk(*b"eXIf", &long_exif(6))),
        with(png_chunk(
            *b"tEXt",
            &[&b"Raw profile type exif\0"[..], &text("exif")].concat(),
        )),
        encode_with_exif(Format::Jpeg, Color::Rgb8, width, height, &rgb, Some(long_exif(6))),
        encode_with_exif(Format::WebP, Color::Rgb8, width, height, &rgb, Some(long_exif(6))),
    ];
    for name in ["exif", "APP1"] {
        let keyword = format!("Raw profile type {name}\0").into_bytes();
        let deflated = zlib(&text(name), 1);
        files.push(with(png_chunk(
            *b"zTXt",
            &[&keyword[..], &[0], &deflated].concat(),
        )));
        files.push(with(png_chunk(
            *b"iTXt",
            &[&keyword[..], &[1, 0, 0, 0], &deflated].concat(),
        )));
        files.push(with(png_chunk(
            *b"iTXt",
            &[&keyword[..], &[0, 0], b"en\0\0", &text(name)].concat(),
        )));
    }
    for (i, file) in files.iter().enumerate() {
        let luma = luma_of(file);
        assert_eq!((luma.width(), luma.height()), (37, 23), "{i}");
        assert!(distance(luma.pixels(), &upright) <= 6, "{i}");
    }
    // A profile that is cut or no EXIF at all changes nothing.
    for text in [
        &b"Raw profile type exif\0"[..],
        b"Raw profile type APP1\0\nAPP1\n 4\nzz",
        b"Raw profile type exif\0\nexif\n 9\n4578",
    ] {
        assert_eq!(luma_of(&with(png_chunk(*b"tEXt", text))).width(), 23);
    }
}

#[test]
fn what_is_not_read_is_named() {
    let ftyp = |brands: &[u8]| [&[0, 0, 0, 24][..], b"ftyp", brands].concat();
    let cases: Vec<(Vec<u8>, Unread, &str)> = vec![
        (ftyp(b"heic\0\0\0\0mif1heic"), Unread::Heif, "HEIC"),
        (ftyp(b"mif1\0\0\0\0mif1avif"), Unread::Avif, "AVIF"),
        (ftyp(b"isom\0\0\x02\0isommp41"), Unread::Video, "video"),
        (b"\x1A\x45\xDF\xA3\x01".to_vec(), Unread::Video, "video"),
        (b"RIFF\x04\0\0\0AVI LIST".to_vec(), Unread::Video, "video"),
        (b"RIFF\x04\0\0\0WAVEfmt ".to_vec(), Unread::Audio, "sound"),
        (b"\0\0\0\x0CJXL \r\n\x87\n".to_vec(), Unread::JpegXl, "JPEG XL"),
        (
            b"\0\0\0\x0CjP  \r\n\x87\n".to_vec(),
            Unread::Jpeg2000,
            "JPEG 2000",
        ),
        (b"\xFF\x4F\xFF\x51\0".to_vec(), Unread::Jpeg2000, "JPEG 2000"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
            Unread::Svg,
            "SVG",
        ),
        (b"<?xml version='1.0'?>\n<svg/>".to_vec(), Unread::Svg, "SVG"),
        (b"<?xml version='1.0'?><a/>".to_vec(), Unread::Xml, "XML"),
        (b"%PDF-1.7\n\xE2\xE3".to_vec(), Unread::Pdf, "PDF"),
        (b"\n<!DOCTYPE html><html>".to_vec(), Unread::Html, "HTML"),
        (b"/9j/4AAQSkZJRgABAQ==".to_vec(), Unread::Base64, "base64"),
        (
            b"data:image/png;base64,iVBORw0KGgo=".to_vec(),
            Unread::Base64,
            "base64",
        ),
        (b"{\"image\": 1}".to_vec(), Unread::Json, "JSON"),
        (
            b"--x\r\nContent-Disposition: form-data\r\n".to_vec(),
            Unread::Multipart,
            "multipart",
        ),
        (
            "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\0".as_bytes().to_vec(),
            Unread::Transcoded,
            "binary",
        ),
        ("ÿØÿà\0".as_bytes().to_vec(), Unread::Transcoded, "binary"),
        (b"\xEF\xBF\xBDPNG\r\n".to_vec(), Unread::Transcoded, "binary"),
        (b"\x1F\x8B\x08\0".to_vec(), Unread::Gzip, "gzip"),
        (b"PK\x03\x04\0".to_vec(), Unread::Zip, "ZIP"),
        (b"8BPS\0".to_vec(), Unread::Photoshop, "Photoshop"),
        (b"hello".to_vec(), Unread::Text, "text"),
        ("Größe".as_bytes().to_vec(), Unread::Text, "text"),
        (b" \r\n\0".to_vec(), Unread::Blank, "white space"),
        (
            b"\x01\x02\x03\x04".to_vec(),
            Unread::Unknown,
            "not a picture we can read",
        ),
        (
            b"\xFF\xFE\x99\x81".to_vec(),
            Unread::Unknown,
            "not a picture we can read",
        ),
    ];
    for (bytes, expected, word) in &cases {
        let error = decode(bytes, &Limits::default()).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, ImageError::UnknownFormat(found) if found == *expected),
            "{bytes:?}: {text}"
        );
        assert!(text.contains(word) && text.contains("WebP"), "{text}");
        assert!(Unread::ALL.contains(expected));
    }
    // Text is looked at up to a limit that may cut a character.
    let long = "ä".repeat(5000);
    assert_eq!(Unread::sniff(&[b"x", long.as_bytes()].concat()), Unread::Text);
    assert!(Unread::ALL.iter().all(|unread| unread.to_string().len() < 130));
}
