//! Errors that need a server at one of its limits. Each function starts one and gives the answers it is about.

use reqwest::Method;

use crate::support::{
    Answer, Raw, Server,
    model::{self, Late},
    pictures, raw,
};

/// Longer than any test runs.
const FOR_EVER: &str = "1h";

async fn predict(server: &Server) -> Answer {
    server.predict("image/png", pictures::face_png(0.0)).await
}

/// A body longer than allowed that does not say so beforehand, sent to its end: the answer comes all the
/// same, not a reset.
pub(super) async fn chunked_and_too_large() -> Vec<Answer> {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--max-body", "10000"]).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send(raw::head(
        &Method::POST,
        "/predict",
        &[("transfer-encoding", "chunked")],
    ))
    .await;
    let chunk = [b"1000\r\n".as_slice(), &[0; 0x1000], b"\r\n"].concat();
    for _ in 0..6 {
        raw.send(&chunk).await;
    }
    raw.send("0\r\n\r\n").await;
    let answer = raw.answer(&Method::POST, "/predict").await;
    answer.problem(413, "body_too_large");

    // A length that is too large is refused before a byte of the body is sent.
    let mut raw = Raw::connect(server.address).await;
    let headers = [("content-length", "10001"), ("expect", "100-continue")];
    raw.send(raw::head(&Method::POST, "/predict", &headers)).await;
    raw.answer(&Method::POST, "/predict")
        .await
        .problem(413, "body_too_large");

    // As many bytes as allowed are read: these are no picture.
    server
        .predict("image/png", vec![0; 10_000])
        .await
        .problem(415, "unknown_image_format");
    vec![answer]
}

/// A body that never comes.
pub(super) async fn body_too_slow() -> Vec<Answer> {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--body-timeout", "20ms"]).await;
    let mut raw = server.predict_begun(100).await;
    raw.send("some of it").await;
    let answer = raw.answer(&Method::POST, "/predict").await;
    answer.problem(408, "body_timeout");
    assert!(
        raw.closed().await,
        "the rest of the body would be taken for a request"
    );
    vec![answer]
}

/// One request may be in flight; while it waits for others to fill its batch, the next is refused. While one's body is awaited,
/// others are answered.
pub(super) async fn too_many_in_flight() -> Vec<Answer> {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--max-in-flight", "1", "--batch-linger", "3s"]).await;
    let png = pictures::face_png(0.0);
    let mut slow = server.predict_begun(png.len()).await;
    let mut first = server.predict_begun(png.len()).await;
    first.send(&png).await;
    // When it has come so far cannot be seen from outside.
    let refused = loop {
        let answer = server.predict("image/png", "x").await;
        if answer.status == 503 {
            break answer;
        }
        answer.problem(415, "unknown_image_format");
    };
    refused.problem(503, "overloaded");
    // Probes, metrics and the model's card are answered under any load.
    for path in ["/livez", "/readyz", "/metrics", "/model"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    first.answer(&Method::POST, "/predict").await.ok();
    slow.send(&png).await;
    slow.answer(&Method::POST, "/predict").await.ok();
    assert!((server.metric(r#"fer_rejected_total{reason="in_flight"}"#).await - 1.0).abs() < f64::EPSILON);
    vec![refused]
}

/// Bodies may hold 2 KiB together; one request holds them all and stays unfinished.
pub(super) async fn too_much_in_memory() -> Vec<Answer> {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--max-body", "2Ki", "--max-buffered", "2Ki"]).await;
    let mut first = server.predict_begun(2048).await;
    first.send([0; 2047]).await;
    // When the bytes have arrived cannot be seen from outside, so this asks until they have.
    let refused = loop {
        let answer = server.predict("image/png", "x").await;
        if answer.status == 503 {
            break answer;
        }
        answer.problem(415, "unknown_image_format");
    };
    refused.problem(503, "overloaded");
    first.send([0]).await;
    first
        .answer(&Method::POST, "/predict")
        .await
        .problem(415, "unknown_image_format");
    server
        .predict("image/png", "x")
        .await
        .problem(415, "unknown_image_format");
    assert!((server.metric(r#"fer_rejected_total{reason="buffers"}"#).await - 1.0).abs() < f64::EPSILON);
    vec![refused]
}

/// One face may wait, and waits for ever since its batch never fills; the next finds no room. When the
/// first client leaves, its face leaves too.
pub(super) async fn queue_full() -> Vec<Answer> {
    let flags = [
        "--max-images",
        "1",
        "--max-faces",
        "1",
        "--queue",
        "1",
        "--batch-linger",
        FOR_EVER,
        "--request-timeout",
        "2h",
    ];
    let model = model::tiny();
    let server = Server::start(model.path(), &flags).await;
    let png = pictures::face_png(0.0);
    let mut first = server.predict_begun(png.len()).await;
    first.send(&png).await;
    server
        .until("/metrics", |a| a.text().contains("\nfer_queue_depth 1\n"))
        .await;
    let refused = predict(&server).await;
    refused.problem(503, "overloaded");
    drop(first);
    let gone = "\nfer_http_requests_total{method=\"POST\",route=\"/predict\",status=\"499\"} 1\n";
    server.until("/metrics", |a| a.text().contains(gone)).await;
    assert!((server.metric(r#"fer_rejected_total{reason="queue_full"}"#).await - 1.0).abs() < f64::EPSILON);
    vec![refused]
}

/// The model is still being loaded.
pub(super) async fn not_ready() -> Vec<Answer> {
    let (late, server) = Late::start(&[]).await;
    let refused = predict(&server).await;
    refused.problem(503, "not_ready");
    assert_eq!(refused.header("retry-after"), "1");
    let _folder = late.arrive();
    server.until("/readyz", |a| a.status == 200).await;
    predict(&server).await.ok();
    assert!((server.metric(r#"fer_rejected_total{reason="not_ready"}"#).await - 1.0).abs() < f64::EPSILON);
    vec![refused]
}

/// No answer can be there within a nanosecond.
pub(super) async fn deadline() -> Vec<Answer> {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--request-timeout", "1ns"]).await;
    let late = predict(&server).await;
    late.problem(504, "deadline_exceeded");
    vec![late]
}

/// Keys are asked for, and none is sent.
pub(super) async fn without_a_key() -> Vec<Answer> {
    let model = model::tiny();
    let keys = model.path().join("keys");
    std::fs::write(&keys, "some-key-0123456789\n").unwrap();
    let server = Server::start(model.path(), &["--api-keys", keys.to_str().unwrap()]).await;
    let refused = predict(&server).await;
    refused.problem(401, "unauthorized");
    vec![refused]
}

/// One request may be sent, and the next after a thousand seconds.
pub(super) async fn too_many_requests() -> Vec<Answer> {
    let model = model::tiny();
    let server = Server::start(model.path(), &["--rate-limit", "0.001"]).await;
    predict(&server).await.ok();
    let refused = predict(&server).await;
    refused.problem(429, "rate_limited");
    vec![refused]
}
