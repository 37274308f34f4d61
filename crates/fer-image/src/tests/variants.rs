//! What only one format has: JPEG colour spaces, TIFF's kinds, animations.

use image::ExtendedColorType as Color;

use super::{
    draw::{encode, face, flat_jpeg, png, riff_chunks, tiff, to_rgb, webp, zlib},
    *,
};

#[test]
fn jpeg_colour_spaces_agree() {
    let flat = |channels: &[(u8, u8, u8)], adobe| {
        let baseline = luma_of(&flat_jpeg(21, 19, channels, adobe, false));
        let progressive = luma_of(&flat_jpeg(21, 19, channels, adobe, true));
        assert_eq!(baseline, progressive, "{channels:?} {adobe:?}");
        assert_eq!((baseline.width(), baseline.height()), (21, 19));
        let value = baseline.pixels()[0];
        assert_eq!(
            distance(baseline.pixels(), &[value; 21 * 19]),
            0,
            "{channels:?} {adobe:?}"
        );
        value
    };
    // Y is taken as it is, whatever the chroma and its sampling.
    for sampling in [0x11, 0x22, 0x14] {
        assert_eq!(flat(&[(1, sampling, 77)], None), 77, "{sampling:#x}");
    }
    for sampling in [0x11, 0x21, 0x12, 0x22, 0x41, 0x14] {
        assert_eq!(
            flat(&[(1, sampling, 77), (2, 0x11, 100), (3, 0x11, 170)], None),
            77,
            "{sampling:#x}"
        );
        assert_eq!(
            flat(&[(1, sampling, 77), (2, 0x11, 100), (3, 0x11, 170)], Some(1)),
            77,
            "{sampling:#x}"
        );
    }
    // RGB by the channels' names, and by an Adobe segment: 0.299·200 + 0.587·120 + 0.114·60 = 137.08.
    assert_eq!(
        flat(&[(b'R', 0x11, 200), (b'G', 0x11, 120), (b'B', 0x11, 60)], None),
        137
    );
    assert_eq!(
        flat(&[(b'R', 0x11, 200), (b'G', 0x11, 120), (b'B', 0x11, 60)], Some(0)),
        137
    );
    assert_eq!(
        flat(&[(1, 0x11, 200), (2, 0x11, 120), (3, 0x11, 60)], Some(0)),
        137
    );
    // CMYK as Adobe stores it, inverted: R = C·K / 255, here (100, 60, 30) → 68.54.
    let cmyk = [(1, 0x11, 200), (2, 0x11, 120), (3, 0x11, 60), (4, 0x11, 128)];
    assert!(flat(&cmyk, Some(0)).abs_diff(69) <= 1);
    // YCCK: the same ink as luma 255 − 137 with neutral chroma, K white.
    let ycck = [(1, 0x11, 118), (2, 0x11, 128), (3, 0x11, 128), (4, 0x11, 255)];
    assert!(flat(&ycck, Some(2)).abs_diff(137) <= 1);
}

#[test]
fn tiff_variants() {
    let gray = |tags: &[(u16, &[u16])], strip: &[u8]| luma_of(&tiff(2, 1, tags, strip)).pixels;
    // White is zero.
    assert_eq!(
        gray(&[(258, &[8]), (259, &[1]), (262, &[0]), (277, &[1])], &[0, 200]),
        [255, 55]
    );
    // CMYK ink, not inverted: no ink is white, all black ink is black.
    let cmyk: [(u16, &[u16]); 4] = [(258, &[8, 8, 8, 8]), (259, &[1]), (262, &[5]), (277, &[4])];
    assert_eq!(gray(&cmyk, &[0, 0, 0, 0, 0, 0, 0, 255]), [255, 0]);
    // Straight and premultiplied alpha: half-covered gray 100 and full cover, on white.
    let alpha = |kind: u16, strip: &[u8]| {
        let kind = [kind];
        let tags: [(u16, &[u16]); 5] = [
            (258, &[8, 8, 8, 8]),
            (259, &[1]),
            (262, &[2]),
            (277, &[4]),
            (338, &kind),
        ];
        gray(&tags, strip)
    };
    assert_eq!(alpha(2, &[100, 100, 100, 128, 7, 7, 7, 255]), [177, 7]);
    assert_eq!(alpha(1, &[50, 50, 50, 128, 7, 7, 7, 255]), [177, 7]);
    // Brighter than its opacity allows: clipped, not wrapped.
    assert_eq!(alpha(1, &[200, 200, 200, 100, 0, 0, 0, 0]), [255, 255]);
    // Floating point has no fixed white: refused, clearly.
    let float: [(u16, &[u16]); 5] = [
        (258, &[32, 32, 32]),
        (259, &[1]),
        (262, &[2]),
        (277, &[3]),
        (339, &[3, 3, 3]),
    ];
    let error = decode(&tiff(2, 1, &float, &[0; 24]), &Limits::default()).unwrap_err();
    assert_eq!(reason_of(&error), Some(Reason::Unsupported(Kind::FloatingPoint)));
    assert!(
        error
            .to_string()
            .contains("TIFF is of a kind that is not supported")
    );
}

#[test]
fn lossy_webp_and_first_frames() {
    for (file, expected) in [
        (WEBP_LOSSY, 137),
        (WEBP_LOSSY_ALPHA, 196), // (137·128 + 255·127) / 255
    ] {
        let luma = luma_of(file);
        assert_eq!((luma.width(), luma.height()), (16, 16));
        assert!(
            distance(luma.pixels(), &[expected; 256]) <= 4,
            "{:?}",
            &luma.pixels()[..8]
        );
    }
    // The decoder's blending of an opaque first frame on nothing is off by one.
    assert!(distance(&face_of(&animated_webp()).0, &face(48, 48)) <= 1);

    let mut gif = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
    encoder
        .encode(&to_rgb(&face(48, 48)), 48, 48, Color::Rgb8)
        .unwrap();
    encoder.encode(&[0; 48 * 48 * 3], 48, 48, Color::Rgb8).unwrap();
    drop(encoder);
    assert_eq!(face_of(&gif).0[..], face(48, 48));
    // A frame smaller than its canvas: the rest is transparent, so white.
    gif[6..10].copy_from_slice(&[50, 0, 49, 0]);
    let luma = luma_of(&gif);
    assert_eq!((luma.width(), luma.height()), (50, 49));
    assert_eq!(luma.pixels()[..48], face(48, 48)[..48]);
    assert_eq!(luma.pixels()[48..50], [255, 255]);
    assert_eq!(luma.pixels()[48 * 50..], [255; 50]);

    // An APNG's default image is its first frame.
    let frame = [
        &[0; 4][..],
        &48_u32.to_be_bytes(),
        &48_u32.to_be_bytes(),
        &[0; 8],
        &[0, 1, 0, 10, 0, 0],
    ]
    .concat();
    let rows: Vec<u8> = face(48, 48)
        .chunks(48)
        .flat_map(|row| [&[0], row].concat())
        .collect();
    let apng = png(
        (48, 48),
        8,
        0,
        &[(*b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]), (*b"fcTL", &frame)],
        &zlib(&rows, 1),
    );
    assert_eq!(face_of(&apng).0[..], face(48, 48));
}

/// Two lossless frames, the second black.
pub(crate) fn animated_webp() -> Vec<u8> {
    let frame = |pixels: &[u8]| {
        let still = encode(Format::WebP, Color::Rgb8, 48, 48, &to_rgb(pixels));
        // Frame at (0, 0), 48×48, 100 ms; sizes are stored less one.
        let head = [0, 0, 0, 0, 0, 0, 47, 0, 0, 47, 0, 0, 100, 0, 0, 0];
        let length = u32::from_le_bytes(still[16..20].try_into().unwrap()) as usize;
        [&head[..], &riff_chunks(&[(*b"VP8L", &still[20..20 + length])])].concat()
    };
    webp(&[
        (*b"VP8X", &[0x02, 0, 0, 0, 47, 0, 0, 47, 0, 0]),
        (*b"ANIM", &[0; 6]),
        (*b"ANMF", &frame(&face(48, 48))),
        (*b"ANMF", &frame(&[0; 2304])),
    ])
}
