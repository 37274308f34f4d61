//! `POST /predict`.

mod cases;
mod errors;
mod limits;

use std::path::Path;

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{
    Server, model,
    pictures::{self, Format, Layout, SIDE},
};

/// Standard base64 by an implementation that is not the server's.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let group = three.iter().fold(0_u32, |g, &b| g << 8 | u32::from(b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= three.len() { digit as char } else { '=' });
        }
    }
    text
}

/// A form part of that field name.
fn part(bytes: &[u8]) -> Part {
    Part::bytes(bytes.to_vec()).file_name("any.name")
}

/// An answer to one picture without its model, as an entry among several has it.
fn entry(answer: &Value) -> Value {
    let mut answer = answer.clone();
    answer.as_object_mut().unwrap().remove("model").unwrap();
    answer
}

async fn server(model: &Path) -> Server {
    Server::start(model, &["--max-images", "64"]).await
}

#[tokio::test]
async fn every_form_of_input_gives_the_same_answer() {
    let model = model::tiny();
    let server = server(model.path()).await;
    let png = pictures::face_png(0.7);
    let expected = server.predict("image/png", png.clone()).await.ok();
    assert_eq!(expected["model"], json!({"name": "tiny", "version": "7"}));

    // The content counts, not what is said of it.
    for media in [
        "application/octet-stream",
        "image/jpeg",
        "image/x-anything",
        "IMAGE/PNG; q=1",
    ] {
        assert_eq!(server.predict(media, png.clone()).await.ok(), expected, "{media}");
    }
    let untyped = server
        .request(reqwest::Method::POST, "/predict")
        .body(png.clone());
    assert_eq!(server.send(untyped).await.ok(), expected);

    for field in ["image", "file"] {
        let form = Form::new().text("note", "not a picture").part(field, part(&png));
        assert_eq!(server.predict_form(form).await.ok(), expected, "{field}");
    }

    let text = base64(&png);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(76)
        .map(|l| std::str::from_utf8(l).unwrap())
        .collect();
    for guise in [
        text.clone(),
        text.trim_end_matches('=').to_owned(),
        lines.join("\r\n"),
        format!("data:image/png;base64,{text}"),
        // Long enough to be taken apart on another thread.
        " ".repeat(100_000) + &text,
    ] {
        assert_eq!(
            server.predict_json(&json!({"image": guise})).await.ok(),
            expected,
            "{guise:.40}"
        );
    }
    // The same string with its characters written otherwise.
    let escaped = text.replace('/', "\\/").replace('i', "\\u0069");
    assert!(escaped.len() > text.len());
    let body = format!(r#"{{"image":"{escaped}"}}"#);
    assert_eq!(
        server.predict("application/json; charset=utf-8", body).await.ok(),
        expected
    );
}

#[tokio::test]
async fn an_answer_is_a_distribution_over_seven_labels_in_order() {
    let model = model::tiny();
    let server = server(model.path()).await;
    for mood in [-1.0, 0.0, 1.0] {
        let answer = server.predict("image/png", pictures::face_png(mood)).await;
        let body = answer.ok();
        // What follows a key must not look like a key, so the text itself is looked at.
        let keys: Vec<_> = answer
            .text()
            .split("\":")
            .filter_map(|t| t.rsplit('"').next())
            .collect();
        let labels = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
        let around = (
            ["emotion", "confidence", "probabilities"],
            ["model", "name", "version"],
        );
        assert_eq!(keys[..13], [&around.0[..], &labels, &around.1].concat());

        let values = labels.map(|l| body["probabilities"][l].as_f64().unwrap());
        let sum: f64 = values.iter().sum();
        assert!((sum - 1.0).abs() <= 1e-4, "{sum}");
        let largest = values.iter().copied().fold(0.0, f64::max);
        assert_eq!(body["confidence"].as_f64(), Some(largest));
        assert_eq!(
            body["probabilities"][body["emotion"].as_str().unwrap()].as_f64(),
            Some(largest)
        );
    }
}

#[tokio::test]
async fn every_format_is_read() {
    let model = model::tiny();
    let server = server(model.path()).await;
    let gray = pictures::face(SIDE, SIDE, 0.3);
    let expected = server.predict("image/png", pictures::gray_png(&gray)).await.ok();
    for format in Format::ALL {
        let file = pictures::encode(format, Layout::Rgb, SIDE, SIDE, &gray);
        let answer = server.predict(pictures::media_type(format), file).await.ok();
        // JPEG loses something, and GIF has 256 colours of which the encoder may have to pick near ones.
        if !matches!(format, Format::Jpeg | Format::Gif) {
            assert_eq!(answer, expected, "{format:?}");
        }
    }
    for format in [Format::Png, Format::Tiff] {
        for layout in [Layout::Gray16, Layout::Rgb16, Layout::Rgba] {
            let file = pictures::encode(format, layout, SIDE, SIDE, &gray);
            assert_eq!(
                server.predict(pictures::media_type(format), file).await.ok(),
                expected,
                "{format:?} {layout:?}"
            );
        }
    }
}

/// More than the 2 MiB at which axum stops its own extractors: photos of phones are larger.
#[tokio::test]
async fn large_pictures_come_in_every_way() {
    let model = model::tiny();
    let server = server(model.path()).await;
    let gray = pictures::face(1200, 1000, 0.3);
    let file = pictures::encode(Format::Bmp, Layout::Rgb, 1200, 1000, &gray);
    assert!(file.len() > 3 << 20, "{}", file.len());
    let expected = server.predict("image/bmp", file.clone()).await.ok();
    let json = json!({"image": base64(&file)});
    assert_eq!(server.predict_json(&json).await.ok(), expected);
    let form = Form::new().part("image", part(&file));
    assert_eq!(server.predict_form(form).await.ok(), expected);
    let form = (0..4).fold(Form::new(), |form, _| form.part("image", part(&file)));
    let body = server.predict_form(form).await.ok();
    assert_close(
        body["predictions"].as_array().unwrap(),
        &vec![entry(&expected); 4],
    );
}

#[tokio::test]
async fn several_pictures_are_answered_in_the_order_sent() {
    let model = model::tiny();
    let server = server(model.path()).await;
    let files: Vec<_> = [-1.0, -0.4, 0.2, 0.9].map(pictures::face_png).into();
    let mut expected = Vec::new();
    for file in &files {
        expected.push(entry(&server.predict("image/png", file.clone()).await.ok()));
    }

    let texts: Vec<_> = files.iter().map(|f| base64(f)).collect();
    let answer = server.predict_json(&json!({"images": texts})).await;
    let body = answer.ok();
    assert_close(body["predictions"].as_array().unwrap(), &expected);
    assert_eq!(body["model"], json!({"name": "tiny", "version": "7"}));
    assert!(answer.text().starts_with(r#"{"predictions":[{"emotion":"#));

    let form = files.iter().enumerate().fold(Form::new(), |form, (i, file)| {
        form.part(if i % 2 == 0 { "image" } else { "file" }, part(file))
    });
    let body = server.predict_form(form).await.ok();
    assert_close(body["predictions"].as_array().unwrap(), &expected);

    // A list of one is answered by a list of one.
    let body = server.predict_json(&json!({"images": [texts[2]]})).await.ok();
    assert_close(body["predictions"].as_array().unwrap(), &expected[2..3]);
}

/// Matrix products are summed in another order in another batch: what that may do to a probability.
const BATCH_ROUNDING: f64 = 1e-5;

#[track_caller]
fn assert_close(got: &[Value], expected: &[Value]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert_eq!(got["emotion"], expected["emotion"]);
        for (label, p) in expected["probabilities"].as_object().unwrap() {
            let difference = got["probabilities"][label].as_f64().unwrap() - p.as_f64().unwrap();
            assert!(difference.abs() < BATCH_ROUNDING, "{label}: {got} {expected}");
        }
    }
}

#[tokio::test]
async fn a_bad_picture_among_good_ones_spoils_only_its_own_place() {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--max-pixels", "10000"]).await;
    let good = pictures::face_png(0.5);
    let expected = entry(&server.predict("image/png", good.clone()).await.ok());
    let cut = &good[..good.len() / 2];
    let bad: [(&[u8], u16, &str); 4] = [
        (b"", 400, "empty_image"),
        (b"not a picture", 415, "unknown_image_format"),
        (cut, 422, "broken_image"),
        (&pictures::claimed_png(101, 100), 422, "too_many_pixels"),
    ];

    let files: Vec<&[u8]> = bad.iter().flat_map(|(file, ..)| [*file, &good[..]]).collect();
    let form = files
        .iter()
        .fold(Form::new(), |form, file| form.part("image", part(file)));
    let mut texts: Vec<_> = files.iter().map(|file| base64(file)).collect();
    let from_form = server.predict_form(form).await;
    texts.push("this is not base64!".to_owned());
    let from_json = server.predict_json(&json!({"images": texts})).await;

    for answer in [&from_form, &from_json] {
        let body = answer.ok();
        for (i, (_, status, code)) in bad.iter().enumerate() {
            let error = &body["predictions"][2 * i]["error"];
            assert_eq!(
                (error["status"].as_u64(), error["code"].as_str()),
                (Some(u64::from(*status)), Some(*code))
            );
            assert_eq!(error["request_id"], answer.header("x-request-id"));
            assert_close(
                &[body["predictions"][2 * i + 1].clone()],
                std::slice::from_ref(&expected),
            );
            crate::contract::assert_nothing_internal(error);
        }
    }
    assert_eq!(from_form.json()["predictions"].as_array().unwrap().len(), 8);
    assert_eq!(from_json.json()["predictions"][8]["error"]["code"], "bad_base64");

    // All of them bad is still an answer to the request.
    let body = server.predict_json(&json!({"images": ["", "?"]})).await.ok();
    assert_eq!(body["predictions"][0]["error"]["code"], "empty_image");
    assert_eq!(body["predictions"][1]["error"]["code"], "bad_base64");
}

#[tokio::test]
async fn requests_at_the_same_time_each_get_their_own_answer() {
    let model = model::tiny();
    let server = server(model.path()).await;
    let files: Vec<_> = (0..24)
        .map(|i| pictures::face_png(f64::from(i) / 12.0 - 1.0))
        .collect();
    let mut expected = Vec::new();
    for file in &files {
        expected.push(entry(&server.predict("image/png", file.clone()).await.ok()));
    }
    let server = std::sync::Arc::new(server);
    let tasks: Vec<_> = files
        .into_iter()
        .map(|file| {
            let server = std::sync::Arc::clone(&server);
            tokio::spawn(async move { entry(&server.predict("image/png", file).await.ok()) })
        })
        .collect();
    for (task, expected) in tasks.into_iter().zip(expected) {
        assert_close(&[task.await.unwrap()], &[expected]);
    }
}

#[tokio::test]
async fn server_timing_names_the_three_steps() {
    let model = model::tiny();
    let server = server(model.path()).await;
    let one = server.predict("image/png", pictures::face_png(0.0)).await;
    let text = base64(&pictures::face_png(0.0));
    let many = server.predict_json(&json!({"images": [text, text, "?"]})).await;
    for answer in [one, many] {
        answer.ok();
        let header = answer.header("server-timing");
        let entries: Vec<_> = header
            .split(", ")
            .map(|e| e.split_once(";dur=").unwrap())
            .collect();
        assert_eq!(
            entries.iter().map(|e| e.0).collect::<Vec<_>>(),
            ["decode", "queue", "infer"]
        );
        let [decode, queue, infer] = [0, 1, 2].map(|i| entries[i].1.parse::<f64>().unwrap());
        // Decoding and the network take some time; waiting may take none. No test waits for minutes.
        assert!(decode > 0.0 && infer > 0.0 && queue >= 0.0, "{header}");
        assert!(decode + queue + infer < 600_000.0, "{header}");
    }
}
