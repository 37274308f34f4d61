//! Gray, resizing and turning by themselves.

use image::{DynamicImage, ExtendedColorType as Color, GrayImage, metadata::Orientation};

use super::{
    draw::{encode, face},
    *,
};
use crate::decode::{luma, orient};

#[test]
fn luma_is_bt601_rounded_and_exact_for_gray() {
    for v in 0..=255 {
        assert_eq!(luma::from_rgb8(&[v, v, v]), [v]);
    }
    for r in (0..=255).step_by(5) {
        for g in (0..=255).step_by(5) {
            for b in (0..=255).step_by(5) {
                let exact = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
                let got = f64::from(luma::from_rgb8(&[r, g, b])[0]);
                assert!((got - exact).abs() <= 0.502, "{r} {g} {b}: {got} for {exact}");
            }
        }
    }
    assert_eq!(luma::from_rgb8(&[255, 0, 0, 0, 255, 0, 0, 0, 255]), [76, 150, 29]);
}

#[test]
fn pictures_of_any_shape_become_faces() {
    for (width, height) in [
        (1, 1),
        (1, 48),
        (48, 1),
        (3, 10_000),
        (10_000, 3),
        (47, 49),
        (96, 96),
        (7, 5),
    ] {
        let flat = vec![93; width * height];
        let decoded = face_of(&encode(Format::Png, Color::L8, width, height, &flat));
        assert_eq!(decoded.0, [93; PIXELS], "{width}×{height}");
    }
}

#[test]
fn reduction_averages_every_pixel() {
    // A fine chequerboard must not alias: nearest or 2×2 sampling would give black and white.
    let board: Vec<u8> = (0..960 * 960)
        .map(|i| if (i % 960 + i / 960) % 2 == 0 { 255 } else { 0 })
        .collect();
    let decoded = face_of(&encode(Format::Pnm, Color::L8, 960, 960, &board));
    assert!(distance(&decoded.0, &[128; PIXELS]) <= 1, "{:?}", &decoded.0[..8]);
    // And the whole picture is there: a left half that is dark stays the left half.
    let halves: Vec<u8> = (0..960 * 100)
        .map(|i| if i % 960 < 480 { 0 } else { 255 })
        .collect();
    let decoded = face_of(&encode(Format::Pnm, Color::L8, 960, 100, &halves));
    for row in decoded.0.chunks(SIDE) {
        assert!(
            row[..23].iter().all(|&v| v == 0) && row[25..].iter().all(|&v| v == 255),
            "{row:?}"
        );
    }
}

#[test]
fn turning_agrees_with_the_image_crate() {
    for (width, height) in [(1, 1), (5, 3), (1, 70), (64, 33), (100, 65)] {
        let gray = GrayImage::from_raw(width, height, face(width as usize, height as usize)).unwrap();
        for value in 1..=8 {
            let orientation = Orientation::from_exif(value).unwrap();
            let mut expected = DynamicImage::ImageLuma8(gray.clone());
            expected.apply_orientation(orientation);
            let turned = orient::upright(LumaImage::new(width, height, gray.as_raw().clone()), orientation);
            assert_eq!(
                (turned.width, turned.height),
                (expected.width(), expected.height()),
                "{value}"
            );
            assert_eq!(turned.pixels, expected.into_luma8().into_raw(), "{value}");
        }
    }
}

#[test]
fn faces_are_made_of_2304_values() {
    assert!(Face::from_gray(&[0; 2303]).is_none());
    assert!(Face::from_gray(&[0; 2305]).is_none());
    assert_eq!(Face::from_gray(&[7; 2304]).map(|face| face.0), Some([7; PIXELS]));
}
