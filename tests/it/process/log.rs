//! What the log says of a request.

use reqwest::Method;
use serde_json::json;

use super::Process;
use crate::support::{Raw, model, pictures, raw};

#[tokio::test]
async fn a_request_is_one_line_with_all_there_is_to_know() {
    let model = model::tiny();
    let mut process = Process::start(model.path(), &[]).await;
    let png = pictures::face_png(0.0);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let headers = [
        ("content-length", &*png.len().to_string()),
        ("x-request-id", "traced"),
        ("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01")),
    ];
    let mut raw = Raw::connect(process.address).await;
    raw.send(raw::head(&Method::POST, "/predict", &headers)).await;
    raw.send(&png).await;
    let answer = raw.answer(&Method::POST, "/predict").await;
    answer.ok();
    let line = process.logged_request("traced").await;
    for (field, value) in [
        ("level", json!("INFO")),
        ("trace_id", json!(trace)),
        ("method", json!("POST")),
        ("route", json!("/predict")),
        ("status", json!(200)),
        ("bytes_in", json!(png.len())),
        ("bytes_out", json!(answer.body.len())),
        ("batch", json!(1)),
        ("images", json!(1)),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    let time = |field: &str| {
        line[field]
            .as_f64()
            .unwrap_or_else(|| panic!("{field} of {line}"))
    };
    let steps = time("decode_ms") + time("queue_ms") + time("infer_ms");
    assert!(steps > 0.0 && steps <= time("duration_ms"), "{line}");

    // The line of a refusal has no times of work, and a malformed traceparent is left out.
    let headers = [
        ("content-length", "1"),
        ("x-request-id", "refused"),
        ("traceparent", "00-1-2-3"),
    ];
    raw.send(raw::head(&Method::POST, "/predict", &headers)).await;
    raw.send("x").await;
    raw.answer(&Method::POST, "/predict")
        .await
        .problem(415, "unknown_image_format");
    let line = process.logged_request("refused").await;
    assert_eq!(line["status"], 415);
    for absent in ["trace_id", "decode_ms", "infer_ms", "batch", "error"] {
        assert!(line.get(absent).is_none(), "{absent} in {line}");
    }
}
