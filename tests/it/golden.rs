//! Does a picture reach the model as the bytes it should, through the whole server?
//!
//! Two kinds of model are asked. One compares its input with the expected 2,304 gray values and answers how
//! far off it was, so that its answer is exact about every pixel. The other is the repository's trained one,
//! of which the probabilities must come out right.

use fer_engine::emotion::Emotion;
use serde_json::Value;
use tch::{CModule, Kind, Tensor};

use crate::support::{
    Server, model,
    pictures::{self, Format, Layout, SIDE},
};

/// What JPEG at quality 95 may change: no gray value by more than this many levels, …
const JPEG_MAX: f64 = 8.0;
/// … and on average by no more than this.
const JPEG_MEAN: f64 = 1.5;
/// What that may do to a probability of the trained model.
const JPEG_PROBABILITY: f64 = 0.05;
/// Half a gray level: what rounding the probabilities to f32 leaves of a distance of 0.
const EXACT: f64 = 0.5;

/// The drawn face as a row of `train.csv` has it, and back: what training sees.
fn csv_row(gray: &[u8]) -> Vec<u8> {
    let row: Vec<_> = gray.iter().map(u8::to_string).collect();
    row.join(" ").split(' ').map(|v| v.parse().unwrap()).collect()
}

/// Every way in which the same 48×48 gray picture can be a file without loss.
fn lossless(gray: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for format in [Format::Png, Format::Bmp, Format::WebP, Format::Tiff, Format::Pnm] {
        for layout in [
            Layout::Gray,
            Layout::Gray16,
            Layout::Rgb,
            Layout::Rgb16,
            Layout::Rgba,
        ] {
            let deep = matches!(layout, Layout::Gray16 | Layout::Rgb16);
            let possible = match format {
                Format::Png | Format::Tiff => true,
                Format::Pnm => !deep && layout != Layout::Rgba,
                _ => !deep,
            };
            if possible {
                let file = pictures::encode(format, layout, SIDE, SIDE, gray);
                files.push((format!("{format:?} {layout:?}"), file));
            }
        }
    }
    files
}

/// The same picture as JPEG: gray, colour, and stored turned with an EXIF orientation.
fn lossy(gray: &[u8]) -> Vec<(String, Vec<u8>)> {
    let jpeg = |layout, gray: &[u8]| pictures::encode(Format::Jpeg, layout, SIDE, SIDE, gray);
    let turned = pictures::turned_left(SIDE, SIDE, gray);
    vec![
        ("gray".to_owned(), jpeg(Layout::Gray, gray)),
        ("RGB".to_owned(), jpeg(Layout::Rgb, gray)),
        (
            "turned".to_owned(),
            pictures::with_orientation(&jpeg(Layout::Rgb, &turned), 6),
        ),
    ]
}

#[tokio::test]
async fn a_gray_picture_reaches_the_model_as_exactly_its_bytes() {
    let every_value: Vec<u8> = (0..SIDE * SIDE).map(|i| (i * 7 % 256) as u8).collect();
    for gray in [pictures::face(SIDE, SIDE, 0.6), every_value] {
        let model = model::compares_with(&csv_row(&gray));
        let server = Server::start(model.path(), &[]).await;
        for (name, file) in lossless(&gray) {
            let answer = server.predict("image/*", file).await.ok();
            let (sum, max) = model::deviation(&answer["probabilities"]);
            assert!(
                sum.abs() < EXACT && max.abs() < EXACT,
                "{name}: off by {sum} in all, {max} at most"
            );
        }
        // The model sees a single gray level in a single pixel: else the above would prove nothing.
        let mut other = gray.clone();
        other[1234] ^= 1;
        let answer = server.predict("image/png", pictures::gray_png(&other)).await.ok();
        let (sum, max) = model::deviation(&answer["probabilities"]);
        assert!(
            (sum - 1.0).abs() < EXACT && (max - 1.0).abs() < EXACT,
            "{sum} {max}"
        );
    }
}

#[tokio::test]
async fn jpeg_copies_are_close_and_turned_ones_come_upright() {
    let gray = pictures::face(SIDE, SIDE, 0.6);
    let model = model::compares_with(&gray);
    let server = Server::start(model.path(), &[]).await;
    for (name, file) in lossy(&gray) {
        let answer = server.predict("image/jpeg", file).await.ok();
        let (sum, max) = model::deviation(&answer["probabilities"]);
        let mean = sum / (SIDE * SIDE) as f64;
        assert!(
            max <= JPEG_MAX && mean <= JPEG_MEAN,
            "{name}: {mean} on average, {max} at most"
        );
        assert!(sum > EXACT, "{name}: JPEG loses something");
    }
    // Without its orientation the turned copy is far off.
    let turned = pictures::turned_left(SIDE, SIDE, &gray);
    let answer = server
        .predict("image/png", pictures::gray_png(&turned))
        .await
        .ok();
    let (_, max) = model::deviation(&answer["probabilities"]);
    assert!(max > 4.0 * JPEG_MAX, "{max}");
}

#[tokio::test]
async fn colour_becomes_luma_and_transparency_white() {
    // CMYK as Adobe stores it: R = C·K / 255 and so on, here (100, 60, 30), luma 68.5.
    for (file, expected) in [
        (pictures::cmyk_jpeg([200, 120, 60, 128]), 69),
        (rgba_png([200, 120, 60, 255]), 137),
        (rgba_png([40, 40, 40, 0]), 255),
        (rgba_png([40, 40, 40, 128]), 147),
    ] {
        let model = model::compares_with(&[expected; SIDE * SIDE]);
        let server = Server::start(model.path(), &[]).await;
        let answer = server.predict("image/*", file).await.ok();
        let (_, max) = model::deviation(&answer["probabilities"]);
        assert!(max < 1.0 + EXACT, "{expected}: {max}");
    }
}

/// A 48×48 PNG of one colour.
fn rgba_png(pixel: [u8; 4]) -> Vec<u8> {
    let picture = image::RgbaImage::from_pixel(SIDE as u32, SIDE as u32, image::Rgba(pixel));
    let mut out = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

/// The seven probabilities of an answer, in order.
fn probabilities(answer: &Value) -> [f64; 7] {
    Emotion::ALL.map(|e| answer["probabilities"][e.name()].as_f64().unwrap())
}

fn largest_difference(a: &[f64; 7], b: &[f64; 7]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// What the trained module itself says to those bytes, at the folder's temperature, with nothing of the server in between.
fn directly(gray: &[u8]) -> [f64; 7] {
    let folder = model::trained();
    let manifest: Value = serde_json::from_slice(&std::fs::read(folder.join("model.json")).unwrap()).unwrap();
    let number = |key: &str| manifest["input"][key].as_f64().unwrap();
    let module = CModule::load(folder.join("model.pt")).unwrap();
    let side = SIDE as i64;
    let pixels = Tensor::from_slice(gray)
        .to_kind(Kind::Float)
        .view([1, 1, side, side]);
    let input = (pixels * number("scale") - number("mean")) / number("std");
    let temperature = manifest["calibration"]["temperature"].as_f64().unwrap_or(1.0);
    let _no_grad = tch::no_grad_guard();
    let output = (module.forward_ts(&[input]).unwrap() / temperature)
        .softmax(-1, Kind::Double)
        .view([7]);
    Vec::<f64>::try_from(output).unwrap().try_into().unwrap()
}

#[tokio::test]
async fn the_trained_model_answers_alike_to_all_copies_of_a_picture() {
    // The engine that runs the module itself; how far others may be from it is checked with the engines.
    let flags = ["--max-batch", "1", "--engine", "torchscript"];
    let server = Server::start(&model::trained(), &flags).await;
    for mood in [-0.8, 0.8] {
        let gray = pictures::face(SIDE, SIDE, mood);
        let expected = server.predict("image/png", pictures::gray_png(&gray)).await.ok();
        for (name, file) in lossless(&gray) {
            let same = probabilities(&server.predict("image/*", file).await.ok());
            // Last digits may depend on where in memory libtorch's tensors happen to lie.
            let off = largest_difference(&same, &probabilities(&expected));
            assert!(off < 1e-6, "{name}: off by {off}");
        }
        let exact = probabilities(&expected);
        let direct = directly(&csv_row(&gray));
        let off = largest_difference(&direct, &exact);
        assert!(
            off < 1e-5,
            "the module itself says {direct:?}, the server {exact:?}"
        );
        for (name, file) in lossy(&gray) {
            let near = probabilities(&server.predict("image/jpeg", file).await.ok());
            let off = largest_difference(&near, &exact);
            assert!(off < JPEG_PROBABILITY, "{name}: off by {off}");
        }
    }
}
