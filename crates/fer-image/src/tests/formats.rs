//! The same picture in every format, layout, depth and orientation.

use image::{DynamicImage, ExtendedColorType as Color, GrayImage, metadata::Orientation};

use super::{
    draw::{encode, encode_with_exif, exif, face, png, png_chunk, tiff, to_rgb, to_rgba, zlib},
    *,
};

/// What JPEG at quality 95 may change in a pixel of a drawn 48×48 face.
const JPEG_95: u8 = 6;

const LOSSLESS: [Format; 5] = [Format::Png, Format::WebP, Format::Bmp, Format::Tiff, Format::Pnm];

#[test]
fn a_48_by_48_gray_picture_reaches_the_model_as_its_bytes() {
    let every_value = Face(std::array::from_fn(|i| (i * 7 % 256) as u8));
    assert_eq!(face_of(&gray_png(&every_value)), every_value);
    let drawn = face(48, 48);
    for format in [Format::Png, Format::Bmp, Format::Tiff, Format::Pnm] {
        assert_eq!(
            face_of(&encode(format, Color::L8, 48, 48, &drawn)).0[..],
            drawn,
            "{format} gray"
        );
    }
    for format in LOSSLESS {
        assert_eq!(
            face_of(&encode(format, Color::Rgb8, 48, 48, &to_rgb(&drawn))).0[..],
            drawn,
            "{format} RGB"
        );
    }
    for format in [Format::Png, Format::WebP, Format::Bmp, Format::Tiff, Format::Gif] {
        let bytes = encode(format, Color::Rgba8, 48, 48, &to_rgba(&drawn, 255));
        assert_eq!(face_of(&bytes).0[..], drawn, "{format} opaque RGBA");
    }
}

#[test]
fn jpeg_at_quality_95_is_close() {
    let drawn = face(48, 48);
    for (color, pixels) in [(Color::L8, drawn.clone()), (Color::Rgb8, to_rgb(&drawn))] {
        let decoded = face_of(&encode(Format::Jpeg, color, 48, 48, &pixels));
        let off = distance(&decoded.0, &drawn);
        assert!(off > 0 && off <= JPEG_95, "{color:?}: {off}");
    }
}

#[test]
fn all_formats_of_a_large_picture_give_one_face() {
    let drawn = face(200, 130);
    let expected = face_of(&encode(Format::Png, Color::L8, 200, 130, &drawn));
    for format in LOSSLESS {
        assert_eq!(
            face_of(&encode(format, Color::Rgb8, 200, 130, &to_rgb(&drawn))),
            expected,
            "{format}"
        );
    }
    let jpeg = face_of(&encode(Format::Jpeg, Color::Rgb8, 200, 130, &to_rgb(&drawn)));
    assert!(
        distance(&jpeg.0, &expected.0) <= 2,
        "{}",
        distance(&jpeg.0, &expected.0)
    );
}

/// `upright` as a file must store it to be shown upright under `orientation`.
fn stored(upright: &GrayImage, orientation: Orientation) -> GrayImage {
    use Orientation::{Rotate90, Rotate270};
    let mut image = DynamicImage::ImageLuma8(upright.clone());
    image.apply_orientation(match orientation {
        Rotate90 => Rotate270,
        Rotate270 => Rotate90,
        its_own_inverse => its_own_inverse,
    });
    image.into_luma8()
}

#[test]
fn all_eight_orientations_come_out_upright() {
    let (width, height) = (70, 41);
    let upright = GrayImage::from_raw(width, height, face(70, 41)).unwrap();
    let expected = face_of(&encode(Format::Png, Color::L8, 70, 41, &upright));
    for value in 1..=8 {
        let picture = stored(&upright, Orientation::from_exif(value).unwrap());
        let (w, h) = (picture.width() as usize, picture.height() as usize);
        let rgb = to_rgb(&picture);
        let mut files: Vec<_> = [Format::Png, Format::WebP, Format::Jpeg]
            .map(|format| {
                (
                    format,
                    encode_with_exif(format, Color::Rgb8, w, h, &rgb, Some(exif(value))),
                )
            })
            .into();
        let tags: [(u16, &[u16]); 5] = [
            (258, &[8]),
            (259, &[1]),
            (262, &[1]),
            (277, &[1]),
            (274, &[u16::from(value)]),
        ];
        files.push((
            Format::Tiff,
            tiff(picture.width(), picture.height(), &tags, &picture),
        ));
        // An eXIf chunk may also follow the pixels.
        let mut late = encode(Format::Png, Color::Rgb8, w, h, &rgb);
        let end = late.len() - 12;
        late.splice(end..end, png_chunk(*b"eXIf", &exif(value)));
        files.push((Format::Png, late));
        for (format, file) in files {
            let luma = luma_of(&file);
            assert_eq!((luma.width(), luma.height()), (width, height), "{format} {value}");
            let off = distance(luma.pixels(), &upright);
            assert!(
                off <= if format == Format::Jpeg { JPEG_95 } else { 0 },
                "{format} {value}: {off}"
            );
            let off = distance(&face_of(&file).0, &expected.0);
            assert!(
                off <= if format == Format::Jpeg { 3 } else { 1 },
                "{format} {value}: {off}"
            );
        }
    }
}

#[test]
fn a_nonsense_orientation_changes_nothing() {
    let drawn = face(48, 48);
    for block in [
        exif(0),
        exif(9),
        exif(255),
        b"II*\0\xff\xff\xff\xff".to_vec(),
        vec![],
    ] {
        let file = encode_with_exif(Format::Png, Color::L8, 48, 48, &drawn, Some(block));
        assert_eq!(face_of(&file).0[..], drawn);
    }
}

#[test]
fn transparency_is_laid_on_white() {
    let half_on_white = |v: u32| (f64::from(v * 128 + 255 * 127) / 255.0).round() as u8;
    for (value, alpha, expected) in [(40, 0, 255), (40, 255, 40), (40, 128, half_on_white(40))] {
        let rgba = to_rgba(&[value; 2304], alpha);
        for format in [Format::Png, Format::WebP, Format::Tiff] {
            let file = encode(format, Color::Rgba8, 48, 48, &rgba);
            assert_eq!(face_of(&file).0, [expected; 2304], "{format} {alpha}");
        }
        let la: Vec<u8> = [value, alpha].repeat(2304);
        assert_eq!(
            face_of(&encode(Format::Png, Color::La8, 48, 48, &la)).0,
            [expected; 2304]
        );
        let wide = |v: u8| u16::from(v) * 257;
        let la16: Vec<u8> = [wide(value), wide(alpha)]
            .repeat(2304)
            .iter()
            .flat_map(|v| v.to_ne_bytes())
            .collect();
        assert_eq!(
            face_of(&encode(Format::Png, Color::La16, 48, 48, &la16)).0,
            [expected; 2304]
        );
        let rgba16: Vec<u8> = rgba.iter().flat_map(|&v| wide(v).to_ne_bytes()).collect();
        assert_eq!(
            face_of(&encode(Format::Png, Color::Rgba16, 48, 48, &rgba16)).0,
            [expected; 2304]
        );
    }
    let gif = encode(Format::Gif, Color::Rgba8, 48, 48, &to_rgba(&[40; 2304], 0));
    assert_eq!(face_of(&gif).0, [255; 2304]);
}

#[test]
fn palettes_and_few_bits_work() {
    // Two palette entries, the second transparent by tRNS; rows of 48 one-bit indices.
    let row = [
        0,
        0b0101_0101,
        0b0101_0101,
        0b0101_0101,
        0b0101_0101,
        0b0101_0101,
        0b0101_0101,
    ];
    let extra: [([u8; 4], &[u8]); 2] = [(*b"PLTE", &[90, 90, 90, 10, 20, 30]), (*b"tRNS", &[255, 0])];
    let file = png((48, 48), 1, 3, &extra, &zlib(&row, 48));
    assert_eq!(face_of(&file).0[..], [90, 255].repeat(1152));
    // Four-bit gray, no palette.
    let row: Vec<u8> = [0].into_iter().chain([0x0F; 24]).collect();
    assert_eq!(
        face_of(&png((48, 48), 4, 0, &[], &zlib(&row, 48))).0[..],
        [0, 255].repeat(1152)
    );
    // Plain text and bit-packed PBM: 1 is black.
    assert_eq!(luma_of(b"P1\n# a comment\n3 1\n1 0 1\n").pixels(), [0, 255, 0]);
    assert_eq!(luma_of(b"P4\n3 1\n\xA0").pixels(), [0, 255, 0]);
    assert_eq!(luma_of(b"P2\n2 1\n15\n15 3\n").pixels(), [255, 51]);
    assert_eq!(luma_of(b"P3\n1 1\n255\n200 120 60\n").pixels(), [137]);
    assert_eq!(luma_of(b"P5\n1 1\n65535\n\x80\x80").pixels(), [128]);
    assert_eq!(luma_of(b"P6\n1 1\n255\n\xc8\x78\x3c").pixels(), [137]);
    let pam = b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n\xc8\x78\x3c\x00";
    assert_eq!(luma_of(pam).pixels(), [255]);
}

#[test]
fn sixteen_bits_are_rounded_not_cut() {
    let values: Vec<u16> = vec![0, 128, 129, 0x1234, 0x80FF, 0xFF7E, 0xFF80, 0xFFFF];
    let expected: Vec<u8> = values
        .iter()
        .map(|&v| (f64::from(v) / 257.0).round() as u8)
        .collect();
    let gray: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let rgb: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes().repeat(3)).collect();
    for (format, color, pixels) in [
        (Format::Png, Color::L16, &gray),
        (Format::Png, Color::Rgb16, &rgb),
        (Format::Tiff, Color::L16, &gray),
        (Format::Tiff, Color::Rgb16, &rgb),
    ] {
        assert_eq!(
            luma_of(&encode(format, color, 8, 1, pixels)).pixels(),
            expected,
            "{format} {color:?}"
        );
    }
}
