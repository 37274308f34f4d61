//! `POST /faces` and `/predict?crop=face`, on a piece of the photo that the `rustface` crate carries.

use std::sync::OnceLock;

use fer_image::{
    Limits, LumaImage, decode_luma,
    faces::{FaceBox, Options, Seeta},
};
use image::{ImageFormat, imageops};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    predict::base64,
    support::{
        Answer, Server, model,
        pictures::{self, Format, Layout},
    },
};

/// Unoptimised, on a busy machine, a large photo takes its time.
const PATIENT: [&str; 2] = ["--request-timeout", "10m"];

#[path = "../support/rustface.rs"]
mod rustface_package;

fn file() -> Vec<u8> {
    std::fs::read(rustface_package::photo()).unwrap()
}

/// A piece of the photo, enlarged twice, with a few people in it, as a PNG.
pub(crate) fn few() -> &'static [u8] {
    static FEW: OnceLock<Vec<u8>> = OnceLock::new();
    FEW.get_or_init(|| {
        let photo = image::load_from_memory(&file()).unwrap();
        let piece = photo.crop_imm(840, 180, 240, 160);
        let piece = piece.resize_exact(480, 320, imageops::FilterType::Triangle);
        let mut png = std::io::Cursor::new(Vec::new());
        piece.write_to(&mut png, ImageFormat::Png).unwrap();
        png.into_inner()
    })
}

/// What the library finds in [`few`].
fn found() -> (LumaImage, Vec<FaceBox>) {
    let picture = decode_luma(few(), &Limits::default()).unwrap();
    let faces = Seeta::new()
        .unwrap()
        .detect(&picture, &Options::default())
        .unwrap();
    assert!(faces.len() >= 2, "{faces:?}");
    (picture, faces)
}

fn blank() -> Vec<u8> {
    pictures::encode(Format::Png, Layout::Gray, 90, 70, &[90; 90 * 70])
}

async fn post(server: &Server, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = server
        .request(Method::POST, path)
        .header("content-type", "image/png")
        .body(body);
    server.send(request).await
}

#[tokio::test]
async fn every_face_is_answered_and_counted() {
    let model = model::tiny();
    let server = Server::start(model.path(), &PATIENT).await;
    let answer = post(&server, "/faces", few()).await;
    let timing = answer.header("server-timing").to_owned();
    assert!(timing.contains(", detect;dur="), "{timing}");
    let text = answer.text();
    assert!(
        text.starts_with(r#"{"width":480,"height":320,"faces":[{"box":{"x":"#),
        "{text}"
    );
    assert!(
        text.ends_with(r#"],"model":{"name":"tiny","version":"7"}}"#),
        "{text}"
    );
    let body = answer.ok();
    let faces = body["faces"].as_array().unwrap();
    let count = found().1.len();
    assert_eq!(faces.len(), count);
    let areas: Vec<_> = faces
        .iter()
        .map(|f| f["box"]["width"].as_u64().unwrap() * f["box"]["height"].as_u64().unwrap())
        .collect();
    assert!(areas.is_sorted_by(|a, b| a >= b), "{areas:?}");
    assert!((server.metric("fer_faces_total").await - count as f64).abs() < f64::EPSILON);
    for name in [
        "fer_detect_duration_seconds_count",
        "fer_decode_duration_seconds_count",
    ] {
        assert!((server.metric(name).await - 1.0).abs() < f64::EPSILON, "{name}");
    }
    // Decoding takes its time even where it fails.
    post(&server, "/faces", b"GIF89a".to_vec())
        .await
        .problem(422, "broken_image");
    let decoded = server.metric("fer_decode_duration_seconds_count").await;
    assert!((decoded - 2.0).abs() < f64::EPSILON, "{decoded}");
}

#[tokio::test]
async fn the_answer_is_what_the_library_finds_and_the_network_sees_the_crop() {
    let (picture, faces) = found();
    let crop = faces[0].crop(&picture).unwrap();
    let model = model::compares_with(&crop.0);
    let server = Server::start(model.path(), &PATIENT).await;

    let body = post(&server, "/faces", few()).await.ok();
    let answered = body["faces"].as_array().unwrap();
    assert_eq!(answered.len(), faces.len());
    for (answer, face) in answered.iter().zip(&faces) {
        let rect = face.within(picture.width(), picture.height());
        assert_eq!(answer["box"], json!(rect));
        let score = answer["score"].as_f64().unwrap();
        assert!((score - f64::from(face.score)).abs() < 1e-3);
    }
    let (sum, _) = model::deviation(&answered[0]["probabilities"]);
    assert!(sum.abs() < 1.0, "the crop differs by {sum}");
    let (sum, _) = model::deviation(&answered[1]["probabilities"]);
    assert!(sum > 100.0, "the second face is another");

    let single = post(&server, "/predict?crop=face", few()).await.ok();
    assert_eq!(
        (&single["crop"], &single["box"]),
        (&json!("face"), &answered[0]["box"])
    );
    assert_eq!(single["probabilities"], answered[0]["probabilities"]);
}

#[tokio::test]
async fn without_a_face_the_list_is_empty_and_predict_takes_the_whole_picture() {
    let model = model::tiny();
    let server = Server::start(model.path(), &PATIENT).await;
    let body = post(&server, "/faces", blank()).await.ok();
    assert_eq!(
        (&body["width"], &body["height"], &body["faces"]),
        (&json!(90), &json!(70), &json!([]))
    );

    let whole = post(&server, "/predict", blank()).await.ok();
    assert_eq!(post(&server, "/predict?crop=none", blank()).await.ok(), whole);
    let mut cropped = post(&server, "/predict?crop=face", blank()).await.ok();
    let crop = cropped.as_object_mut().unwrap().remove("crop");
    assert_eq!((crop, cropped), (Some(json!("picture")), whole));
}

#[tokio::test]
async fn several_photos_are_answered_in_their_order() {
    let model = model::tiny();
    let server = Server::start(model.path(), &PATIENT).await;
    let images = json!({"images": [base64(few()), base64(&few()[..5000]), base64(&blank())]});
    let send = |path: &str| {
        server
            .request(Method::POST, path)
            .header("content-type", "application/json")
            .body(images.to_string())
    };
    let body = server.send(send("/faces?max_faces=1")).await.ok();
    let faces = |n: usize| body["photos"][n]["faces"].as_array().map(Vec::len);
    assert_eq!((faces(0), faces(2)), (Some(1), Some(0)));
    assert_eq!(body["photos"][1]["error"]["code"], "broken_image");

    let body = server.send(send("/predict?crop=face")).await.ok();
    let crop = |n: usize| &body["predictions"][n]["crop"];
    assert_eq!(
        (crop(0), crop(1), crop(2)),
        (&json!("face"), &Value::Null, &json!("picture"))
    );
}

#[tokio::test]
async fn odd_shapes_get_an_answer_and_large_ones_a_refusal() {
    let model = model::tiny();
    let server = Server::start(model.path(), &PATIENT).await;
    for (width, height) in [(1, 1), (1, 4000), (20_000, 300)] {
        let gray: Vec<u8> = (0..width * height).map(|i| (i % 251) as u8).collect();
        let png = pictures::encode(Format::Png, Layout::Gray, width, height, &gray);
        let body = post(&server, "/faces", png).await.ok();
        assert_eq!(body["width"].as_u64(), Some(width as u64));
        assert_eq!(body["faces"], json!([]));
    }
    // 100 megapixels.
    let header = pictures::claimed_png(10_000, 10_000);
    post(&server, "/faces", header)
        .await
        .problem(422, "too_many_pixels");
}

#[tokio::test]
async fn what_is_wrong_is_said_as_predict_says_it() {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--max-faces", "5"]).await;
    post(&server, "/faces", "").await.problem(400, "empty_body");
    post(&server, "/faces", "no picture")
        .await
        .problem(415, "unknown_image_format");
    post(&server, "/faces", &few()[..5000])
        .await
        .problem(422, "broken_image");
    for (path, words) in [
        ("/faces?max_faces=6", "from 1 to 5"),
        ("/faces?min_face=3", "from 20 to 10000"),
        ("/faces?score=x", "from 1 to 100"),
        ("/faces?size=3", "no query parameter"),
        ("/predict?crop=yes", "`face`"),
        ("/predict?max_faces=1", "no query parameter"),
    ] {
        let problem = post(&server, path, blank()).await.problem(400, "bad_request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{path}: {detail}");
    }
}

#[tokio::test]
async fn the_console_comes_with_its_files_and_a_strict_policy() {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    for (path, media, word) in [
        ("/", "text/html; charset=utf-8", "console/app.js"),
        ("/docs", "text/html; charset=utf-8", "docs/app.js"),
        ("/console/app.js", "text/javascript; charset=utf-8", "./photos.js"),
        ("/docs/try.js", "text/javascript; charset=utf-8", "./parts.js"),
        ("/console/icon.svg", "image/svg+xml", "<svg"),
        (
            "/console/style.css",
            "text/css; charset=utf-8",
            "prefers-color-scheme",
        ),
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, media)
        );
        assert!(answer.text().contains(word));
        // The page loads nothing from elsewhere and holds no code of its own.
        for bad in [
            "https://",
            "<script>",
            " style=",
            " onclick=",
            "src=\"/",
            "href=\"/",
        ] {
            assert!(!answer.text().contains(bad), "{bad} in {path}");
        }
        assert!(!answer.header("content-security-policy").contains("unsafe"));
    }
    let sample = server.get("/console/astronaut.jpg").await;
    assert_eq!(sample.header("content-type"), "image/jpeg");
    for path in ["/console/none.js", "/docs/none.js", "/console/..%2findex.html"] {
        server.get(path).await.problem(404, "not_found");
    }
}
