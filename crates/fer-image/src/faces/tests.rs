//! The detector on the photo in the `rustface` crate's package (the Solvay conference of 1927: 29 people),
//! against that crate itself, and on images without faces.

use std::sync::OnceLock;

use image::{GrayImage, ImageFormat, imageops};
use proptest::prelude::*;

use super::{
    seeta::{Gray, MODEL},
    *,
};
use crate::{Limits, LumaImage, Photo, decode_luma, tests::draw::exif};

#[path = "../../../../tests/support/rustface.rs"]
mod rustface_package;

fn photo() -> &'static GrayImage {
    static PHOTO: OnceLock<GrayImage> = OnceLock::new();
    PHOTO.get_or_init(|| image::open(rustface_package::photo()).unwrap().to_luma8())
}

fn luma(image: &GrayImage) -> LumaImage {
    let mut png = std::io::Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).unwrap();
    decode_luma(png.get_ref(), &Limits::default()).unwrap()
}

fn seeta() -> &'static Seeta {
    static SEETA: OnceLock<Seeta> = OnceLock::new();
    SEETA.get_or_init(|| Seeta::new().unwrap())
}

fn find(image: &GrayImage) -> Vec<FaceBox> {
    seeta().detect(&luma(image), &Options::default()).unwrap()
}

fn drawn(width: u32, height: u32, f: impl Fn(f64, f64) -> f64) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| {
        image::Luma([f(f64::from(x), f64::from(y)).clamp(0.0, 255.0) as u8])
    })
}

/// Intersection over union of two squares given as x, y and side.
fn overlap(a: [f64; 3], b: [f64; 3]) -> f64 {
    let shared = |i: usize| (a[i] + a[2]).min(b[i] + b[2]) - a[i].max(b[i]);
    let both = shared(0).max(0.0) * shared(1).max(0.0);
    both / (a[2] * a[2] + b[2] * b[2] - both)
}

fn square(face: &FaceBox, scale: f64) -> [f64; 3] {
    [face.x as f64, face.y as f64, f64::from(face.side)].map(|v| v * scale)
}

/// How many of `wanted` have a box in `found` that is the same face.
fn matched(wanted: &[[f64; 3]], found: &[[f64; 3]]) -> usize {
    let has = |w: &&[f64; 3]| found.iter().any(|f| overlap(**w, *f) >= 0.7);
    wanted.iter().filter(has).count()
}

/// The left part of the photo with nine people: small, because tests run unoptimised.
fn part() -> GrayImage {
    imageops::crop_imm(photo(), 0, 0, 560, 400).to_image()
}

/// The faces of [`part`].
fn reference() -> &'static [[f64; 3]] {
    static REFERENCE: OnceLock<Vec<[f64; 3]>> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let faces: Vec<_> = find(&part()).iter().map(|f| square(f, 1.0)).collect();
        assert!(faces.len() >= 8, "{faces:?}");
        faces
    })
}

#[test]
fn all_29_people_are_found_and_nothing_else() {
    let faces: Vec<_> = find(photo()).iter().map(|f| square(f, 1.0)).collect();
    assert_eq!(faces.len(), 29, "{faces:?}");
    for (i, a) in faces.iter().enumerate() {
        // The people stand in the upper 340 rows; names are printed below.
        assert!(a[1] < 340.0 && (30.0..80.0).contains(&a[2]), "{a:?}");
        assert!(faces[..i].iter().all(|b| overlap(*a, *b) < 0.3), "{a:?} twice");
    }
    assert!(
        faces.windows(2).all(|pair| pair[0][2] >= pair[1][2]),
        "largest first"
    );
}

#[test]
fn finds_what_rustface_finds() {
    // Two rows of people without the printed names, as they are and enlarged.
    let part = imageops::crop_imm(photo(), 200, 150, 760, 200).to_image();
    let enlarged = imageops::resize(&part, 1140, 300, imageops::FilterType::Triangle);
    let model = rustface::read_model(MODEL).unwrap();
    let mut theirs = rustface::create_detector_with_model(model);
    theirs.set_score_thresh(2.0);
    for picture in [part, enlarged] {
        let (width, height) = picture.dimensions();
        let theirs: Vec<_> = theirs
            .detect(&rustface::ImageData::new(&picture, width, height))
            .iter()
            .map(|f| {
                let (x, y) = (f64::from(f.bbox().x()), f64::from(f.bbox().y()));
                ([x, y, f64::from(f.bbox().width())], f.score())
            })
            .collect();
        let ours: Vec<_> = seeta()
            .cascade
            .detect(Gray::new(&picture, width as usize, height as usize))
            .iter()
            .map(|w| {
                (
                    [f64::from(w.x), f64::from(w.y), f64::from(w.side)],
                    f64::from(w.score),
                )
            })
            .collect();
        // Which windows of a face pass is a matter of rounding; a face that only just passes may be lost.
        let sure = |faces: &[([f64; 3], f64)], least: f64| -> Vec<[f64; 3]> {
            faces.iter().filter(|f| f.1 >= least).map(|f| f.0).collect()
        };
        let (their_best, our_best) = (sure(&theirs, 4.0), sure(&ours, 4.0));
        assert!(their_best.len() >= 8, "{theirs:?}");
        assert_eq!(
            matched(&their_best, &sure(&ours, 2.0)),
            their_best.len(),
            "{ours:?}"
        );
        assert_eq!(
            matched(&our_best, &sure(&theirs, 2.0)),
            our_best.len(),
            "{theirs:?}"
        );
    }
}

#[test]
fn half_and_double_size_give_the_same_faces() {
    for (width, height) in [(280, 200), (1120, 800)] {
        let picture = imageops::resize(&part(), width, height, imageops::FilterType::Triangle);
        let back = 560.0 / f64::from(width);
        let faces: Vec<_> = find(&picture).iter().map(|f| square(f, back)).collect();
        let same = matched(reference(), &faces);
        assert!(
            same + 1 >= reference().len() && faces.len() <= reference().len() + 1,
            "{width}: {same} of {}, {} found",
            reference().len(),
            faces.len()
        );
    }
}

#[test]
fn jpeg_and_exif_orientation_give_the_same_faces() {
    let part = part();
    for orientation in [1, 3, 6, 8] {
        // Stored so that the orientation turns it upright again.
        let stored = match orientation {
            3 => imageops::rotate180(&part),
            6 => imageops::rotate270(&part),
            8 => imageops::rotate90(&part),
            _ => part.clone(),
        };
        let mut jpeg = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90);
        image::ImageEncoder::set_exif_metadata(&mut encoder, exif(orientation)).unwrap();
        encoder.encode_image(&stored).unwrap();
        let picture = decode_luma(&jpeg, &Limits::default()).unwrap();
        assert_eq!((picture.width(), picture.height()), part.dimensions());
        let faces = seeta().detect(&picture, &Options::default()).unwrap();
        let faces: Vec<_> = faces.iter().map(|f| square(f, 1.0)).collect();
        let same = matched(reference(), &faces);
        assert!(
            same + 1 >= reference().len() && faces.len() <= reference().len() + 1,
            "orientation {orientation}: {same} of {}, {} found",
            reference().len(),
            faces.len()
        );
    }
}

#[test]
fn drawings_landscapes_and_noise_have_no_face() {
    let mut state = 7_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let mut pictures = Vec::new();
    for n in 0..5 {
        // White noise; the same in blocks.
        let block = 1 + 3 * n;
        let noise: Vec<f64> = (0..240 * 180).map(|_| 255.0 * random()).collect();
        pictures.push(drawn(240, 180, |x, y| {
            noise[(y as usize / block) * 240 + x as usize / block]
        }));
        // Hills of several frequencies under a bright sky.
        let phase = 6.0 * random();
        pictures.push(drawn(240, 180, |x, y| {
            let hill = 90.0 + 25.0 * (x / 40.0 + phase).sin() + 25.0 * (x / 23.0 + 2.0 * phase).sin();
            let ground = 90.0 + 40.0 * (x / 5.0).sin() * (y / (4.0 + n as f64)).cos();
            if y < hill { 200.0 - 0.2 * y } else { ground }
        }));
        // Discs and bars.
        let spots: Vec<[f64; 4]> = (0..40)
            .map(|_| {
                [
                    640.0 * random(),
                    480.0 * random(),
                    3.0 + 25.0 * random(),
                    255.0 * random(),
                ]
            })
            .collect();
        pictures.push(drawn(240, 180, |x, y| {
            let inside = |s: &&[f64; 4]| (x - s[0]).hypot(y - s[1]) < s[2];
            spots.iter().find(inside).map_or(128.0, |s| s[3])
        }));
        let width = 7.0 + 5.0 * n as f64;
        pictures.push(drawn(240, 180, |x, y| {
            127.5 + 127.5 * (x / width).sin().signum() * (y / (width + 9.0)).sin().signum()
        }));
    }
    assert_eq!(pictures.len(), 20);
    let found: Vec<_> = pictures.iter().map(|p| find(p).len()).collect();
    assert_eq!(found.iter().sum::<usize>(), 0, "{found:?}");
}

#[test]
fn options_hold() {
    let picture = luma(&part());
    let with = |options: Options| seeta().detect(&picture, &options).unwrap();
    let all = with(Options::default());
    let few = with(Options {
        max_faces: 3,
        ..Options::default()
    });
    assert_eq!(few, all[..3]);
    let sure = with(Options {
        score: 15.0,
        ..Options::default()
    });
    assert!(!sure.is_empty() && sure.len() < all.len());
    assert!(sure.iter().all(|f| f.score >= 15.0));
    for min_face in [40, 55, 10_000] {
        let large = with(Options {
            min_face: Some(min_face),
            ..Options::default()
        });
        assert!(large.iter().all(|f| f.side >= min_face), "{min_face}: {large:?}");
        assert_eq!(large.is_empty(), min_face > 1000);
    }
}

#[test]
fn long_and_tiny_pictures_are_searched_within_bounds() {
    for (width, height) in [(1, 1), (1, 3000), (8000, 120), (39, 39), (40, 41)] {
        let picture = drawn(width, height, |x, y| {
            127.0 + 100.0 * (x / 9.0).sin() * (y / 7.0).cos()
        });
        assert_eq!(find(&picture), [], "{width}×{height}");
    }
}

#[test]
fn faces_of_a_panorama_are_found() {
    // Fourteen times as long as high; the faces are a fifth of its height.
    let people = imageops::crop_imm(photo(), 560, 140, 340, 260).to_image();
    let wanted = find(&people).len();
    assert!(wanted >= 3, "{wanted}");
    let mut wide = drawn(3640, 260, |x, y| 120.0 + 20.0 * (x / 90.0).sin() + 0.2 * y);
    imageops::replace(&mut wide, &people, 2000, 0);
    let found = find(&wide);
    assert_eq!(found.len(), wanted, "{found:?}");
    assert!(found.iter().all(|f| (1990..2340).contains(&f.x)), "{found:?}");
}

#[test]
fn a_box_over_the_border_is_cut_off_in_answers_only() {
    let face = |x, y| FaceBox {
        x,
        y,
        side: 50,
        score: 5.0,
    };
    let rect = |x, y, width, height| Some(Rect { x, y, width, height });
    assert_eq!(face(10, 20).within(100, 100), rect(10, 20, 50, 50));
    assert_eq!(face(-10, 80).within(100, 100), rect(0, 80, 40, 20));
    assert_eq!(face(100, 0).within(100, 100), None);
    assert_eq!(face(0, -50).within(100, 100), None);
}

#[test]
fn a_crop_is_the_box_with_its_margin() {
    // Gray = column. A box of 44 pixels is framed by 48.4, rounded to 48: no resampling.
    let picture = luma(&drawn(200, 200, |x, _| x));
    let face = FaceBox {
        x: 60,
        y: 30,
        side: 44,
        score: 5.0,
    };
    let crop = face.crop(&picture).unwrap();
    for (i, &p) in crop.0.iter().enumerate() {
        assert_eq!(usize::from(p), 58 + i % 48);
    }
}

#[test]
fn faces_come_with_their_crops_and_a_photo_without_any_as_a_whole() {
    let picture = luma(&part());
    let found = seeta()
        .find(&picture.clone().into(), &Options::default(), true)
        .unwrap();
    let boxes = seeta().detect(&picture, &Options::default()).unwrap();
    assert_eq!((found.width, found.height), (560, 400));
    assert_eq!(found.faces.len(), boxes.len());
    assert!(found.whole.is_none());
    for (face, expected) in found.faces.iter().zip(&boxes) {
        assert_eq!(Some(face.rect), expected.within(560, 400));
        assert_eq!(face.face, expected.crop(&picture).unwrap());
    }
    let flat = luma(&drawn(100, 60, |_, _| 90.0));
    for or_whole in [true, false] {
        let found = seeta()
            .find(&flat.clone().into(), &Options::default(), or_whole)
            .unwrap();
        assert!(found.faces.is_empty());
        assert_eq!(found.whole, or_whole.then(|| flat.whole().unwrap()));
    }
}

#[test]
fn a_photo_at_a_fraction_of_its_size_has_the_same_faces() {
    let large = imageops::resize(&part(), 1121, 799, imageops::FilterType::CatmullRom);
    let half = imageops::resize(&large, 561, 400, imageops::FilterType::Triangle);
    let photo = Photo {
        luma: luma(&half),
        width: 1121,
        height: 799,
    };
    let large = luma(&large);
    // Searched at 5/12 of the size, so half the size has the pixels for it.
    let options = Options {
        min_face: Some(96),
        ..Options::default()
    };
    let at_full_size = seeta().detect(&large, &options).unwrap();
    let found = seeta().find(&photo, &options, false).unwrap();
    assert_eq!((found.width, found.height), (1121, 799));
    // Those clearly larger than the smallest that is looked for.
    let sure: Vec<_> = at_full_size.iter().filter(|f| f.side >= 100).collect();
    assert!(sure.len() >= 3, "{at_full_size:?}");
    for face in sure {
        // The detector averages windows, so that a pixel's last bit moves a box by some per cent of its side.
        let near = |other: &FoundFace| {
            let Rect { x, y, width, .. } = other.rect;
            overlap(square(face, 1.0), [x, y, width].map(f64::from)) >= 0.8
        };
        assert!(found.faces.iter().any(near), "{face:?} {:?}", found.faces);
        // The same box of both: only the detail beyond half the size is lost.
        let crops = [face.crop(&large).unwrap(), face.crop_of((&photo).into()).unwrap()];
        let differences = crops[0].0.iter().zip(crops[1].0);
        let mean = differences.map(|(a, b)| f64::from(a.abs_diff(b))).sum::<f64>() / 2304.0;
        assert!(mean < 3.0, "{mean}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn no_picture_makes_it_fail(width in 1_u32..150, height in 1_u32..150, seed: u64, rough in 1_u32..9) {
        let value = |x: u32, y: u32| {
            let mut v = seed ^ (u64::from(x / rough) << 32 | u64::from(y / rough));
            v = v.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (v >> 56) as u8
        };
        let picture = luma(&GrayImage::from_fn(width, height, |x, y| image::Luma([value(x, y)])));
        let options = Options { score: 1.0, ..Options::default() };
        for face in seeta().detect(&picture, &options).unwrap() {
            prop_assert!(face.within(width, height).is_some());
            face.crop(&picture).unwrap();
        }
    }
}
