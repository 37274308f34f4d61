//! Every error of `/predict`, each with its code; what the description lists and what happens are the same.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    base64,
    cases::{Case, FLAGS, FORM, cases, part},
};
use crate::{
    contract,
    support::{
        Answer, Raw, Server, model,
        pictures::{self, Format, Layout, SIDE},
        raw,
    },
};

async fn send(server: &Server, case: &Case) -> Answer {
    let mut request = server.request(Method::POST, "/predict").body(case.body.clone());
    for (name, value) in &case.headers {
        request = request.header(*name, *value);
    }
    server.send(request).await
}

/// What happened in a scenario: the answers it is about.
type Answers = Vec<Answer>;

/// Each entry of [`cases`]. The answer agrees with the description: that is checked on arrival.
async fn simple() -> Answers {
    let model = model::tiny();
    let server = Server::start(model.path(), &FLAGS).await;
    let mut answers = Vec::new();
    for case in cases() {
        let answer = send(&server, &case).await;
        let body = answer.json();
        let got = (answer.status.as_u16(), body["code"].as_str().unwrap());
        assert_eq!(got, (case.status, case.code), "{}: {body}", case.what);
        answers.push(answer);
    }
    // The server is as well as before.
    server.predict("image/png", pictures::face_png(0.0)).await.ok();
    answers
}

/// A request whose body ends, or stops making sense, before it is complete.
async fn broken_off() -> Answers {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send(raw::head(
        &Method::POST,
        "/predict",
        &[("transfer-encoding", "chunked")],
    ))
    .await;
    raw.send("3\r\nabc\r\nthis is not the length of a chunk\r\n")
        .await;
    let answer = raw.answer(&Method::POST, "/predict").await;
    answer.problem(400, "bad_request");
    vec![answer]
}

/// The model fails on one picture: inside libtorch, and with an answer that is no number.
async fn engine_failure() -> Answers {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    let mut answers = Vec::new();
    for corner in [[255, 0], [0, 255]] {
        let mut gray = pictures::face(SIDE, SIDE, 0.0);
        gray[..2].copy_from_slice(&corner);
        let bad = pictures::gray_png(&gray);
        let answer = server.predict("image/png", bad.clone()).await;
        let body = answer.problem(500, "internal");
        assert!(body["detail"].as_str().unwrap().contains("log"), "{body}");
        answers.push(answer);
        // Among several it is the server's fault, too, and not an entry of its own.
        let text = base64(&bad);
        server
            .predict_json(&json!({"images": [text, text]}))
            .await
            .problem(500, "internal");
        // The next picture is answered as ever.
        server.predict("image/png", pictures::face_png(0.0)).await.ok();
    }
    answers
}

/// Decoding takes more processor time than there is.
async fn too_costly() -> Answers {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--decode-timeout", "1ms"]).await;
    let large = pictures::encode(Format::Png, Layout::Gray, 6000, 6000, &vec![90; 36_000_000]);
    let answer = server.predict("image/png", large).await;
    answer.problem(422, "too_costly");
    let ended = server.metric("fer_decoder_restarts_total{reason=\"time\"}").await;
    assert!(ended >= 1.0, "{ended}");
    vec![answer]
}

macro_rules! scenarios {
    ($($module:ident::$name:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            crate::predict::$module::$name().await;
        })+

        /// Every error of `/predict` that the description lists is produced here, and no other.
        #[tokio::test]
        async fn all_documented_errors_happen() {
            let mut happened = BTreeSet::new();
            $(for answer in crate::predict::$module::$name().await {
                let code: Value = answer.json()["code"].clone();
                happened.insert((answer.status.as_u16(), code.as_str().unwrap().to_owned()));
            })+
            assert_eq!(happened, contract::documented_errors("/predict", "post"));
        }
    };
}

mod tests {
    use super::*;

    scenarios!(
        errors::simple,
        errors::broken_off,
        errors::engine_failure,
        errors::too_costly,
        limits::chunked_and_too_large,
        limits::body_too_slow,
        limits::too_many_in_flight,
        limits::too_much_in_memory,
        limits::queue_full,
        limits::not_ready,
        limits::deadline,
        limits::without_a_key,
        limits::too_many_requests,
    );
}

#[tokio::test]
async fn a_refusal_says_what_would_be_right() {
    let model = model::tiny();
    let server = Server::start(model.path(), &FLAGS).await;
    let detail = |answer: &Answer| answer.json()["detail"].as_str().unwrap().to_owned();
    let asked = |media: &'static str, body: &str| server.predict(media, body.to_owned());

    let answer = asked("text/plain", "x").await;
    assert!(detail(&answer).contains("text/plain") && detail(&answer).contains("multipart/form-data"));
    assert!(answer.header("accept-post").contains("application/json"));
    let encoded = server
        .request(Method::POST, "/predict")
        .header("content-encoding", "gzip")
        .body("x");
    assert_eq!(server.send(encoded).await.header("accept-encoding"), "identity");
    let too_large = server.predict("image/png", vec![0; 70_000]).await;
    assert!(detail(&too_large).contains("65536"));
    let too_wide = server
        .predict("image/png", pictures::claimed_png(1001, 1000))
        .await;
    assert!(detail(&too_wide).contains("1001×1000") && detail(&too_wide).contains("1000000"));
    let form = asked(FORM, &(part("photo", "x") + "--B--\r\n")).await;
    assert!(detail(&form).contains("photo") && detail(&form).contains("`image`"));
    let many = asked("application/json", r#"{"images":["","","",""]}"#).await;
    assert!(detail(&many).contains("at most 3"));
    let unknown = asked("image/png", "x").await;
    assert!(detail(&unknown).contains("JPEG, PNG, WebP, GIF, BMP, TIFF or PNM"));
}
