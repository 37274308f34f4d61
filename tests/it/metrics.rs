//! `/metrics`.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::{
    predict::base64,
    support::{
        Server,
        model::{self, Late},
        pictures::{self, SIDE},
        server::metric,
    },
};

const DOCUMENT: &str = include_str!("../../docs/metrics.md");

/// The cells of the document's rows whose first is a name or value in backticks.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
        .map(|line| {
            line.split('|')
                .map(|cell| cell.trim().trim_matches('`'))
                .collect()
        })
}

/// The documented metrics: name, type, and labels.
fn documented() -> Vec<(&'static str, &'static str, BTreeSet<&'static str>)> {
    rows(DOCUMENT)
        .filter(|row| row[0].starts_with("fer_"))
        .map(|row| {
            (
                row[0],
                row[1],
                row[2].split("` `").filter(|l| !l.is_empty()).collect(),
            )
        })
        .collect()
}

/// Those that `/metrics` shows; `le` belongs to the type.
fn shown(text: &str) -> Vec<(&str, &str, BTreeSet<&str>)> {
    text.lines()
        .filter_map(|line| {
            line.strip_prefix("# TYPE fer_")
                .and_then(|_| line[7..].split_once(' '))
        })
        .map(|(name, kind)| {
            let labels = series(text)
                .into_iter()
                .filter_map(|s| {
                    s.strip_prefix(name)?
                        .strip_prefix("_bucket")
                        .or(s.strip_prefix(name))
                })
                .filter_map(|s| s.strip_prefix('{')?.strip_suffix("\"}"))
                .flat_map(|s| s.split("\","))
                .filter_map(|pair| Some(pair.split_once('=')?.0))
                .filter(|label| *label != "le")
                .collect();
            (name, kind, labels)
        })
        .collect()
}

#[tokio::test]
async fn the_document_lists_what_there_is() {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    let answer = server.get("/metrics").await;
    let (mut documented, mut shown) = (documented(), shown(answer.text()));
    documented.sort();
    shown.sort();
    assert_eq!(documented, shown);
    assert!(
        shown
            .iter()
            .all(|(name, ..)| answer.text().contains(&format!("# HELP {name} ")))
    );

    let reasons: BTreeSet<_> = rows(DOCUMENT)
        .map(|row| row[0])
        .filter(|cell| !cell.starts_with("fer_"))
        .collect();
    let counted: BTreeSet<_> = series(answer.text())
        .into_iter()
        .filter_map(|s| {
            s.strip_prefix("fer_rejected_total{reason=\"")?
                .strip_suffix("\"}")
        })
        .collect();
    assert_eq!(reasons, counted);
}

/// The names and labels of all series.
fn series(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.rsplit_once(' ').unwrap().0)
        .collect()
}

#[tokio::test]
async fn every_metric_is_there_from_the_start() {
    let (late, server) = Late::start(&[]).await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
    let text = answer.text();
    // What there is of a model comes with it.
    let early = documented()
        .into_iter()
        .filter(|(name, ..)| *name != "fer_model_info");
    for (name, kind, _) in early {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} {kind}");
        assert!(
            series(text).iter().any(|s| s.starts_with(name)),
            "{name} has no series"
        );
    }
    for name in [
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
    ] {
        assert!(text.contains(&format!("\n{name} ")), "{name}");
    }
    for emotion in ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"] {
        assert!(
            metric(text, &format!("fer_predictions_total{{emotion=\"{emotion}\"}}")).abs() < f64::EPSILON
        );
    }
    for status in [200, 400, 408, 413, 415, 422, 499, 500, 503, 504] {
        let name =
            format!("fer_http_requests_total{{method=\"POST\",route=\"/predict\",status=\"{status}\"}}");
        assert!(metric(text, &name).abs() < f64::EPSILON);
    }
    // Inference takes less than a millisecond on a fast machine.
    assert!(text.contains("fer_inference_duration_seconds_bucket{le=\"0.0005\"} 0\n"));
    assert!(text.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))));

    // What there is of a model is said once there is one.
    let _folder = late.arrive();
    server.until("/readyz", |a| a.status == 200).await;
    let info =
        "fer_model_info{device=\"cpu\",engine=\"torchscript\",name=\"tiny\",precision=\"f32\",version=\"7\"}";
    assert!((server.metric(info).await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn counters_are_exact() {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    let png = pictures::face_png(0.1);
    let text = base64(&png);
    for _ in 0..5 {
        server.predict("image/png", png.clone()).await.ok();
    }
    server
        .predict_json(&json!({"images": [text, text, "?", text]}))
        .await
        .ok();
    for _ in 0..3 {
        server
            .predict("image/png", "no picture")
            .await
            .problem(415, "unknown_image_format");
    }
    server
        .predict("image/png", png[..80].to_vec())
        .await
        .problem(422, "broken_image");
    server.predict_json(&json!({})).await.problem(400, "no_image");
    let mut gray = [7; SIDE * SIDE];
    gray[..2].copy_from_slice(&[255, 0]);
    server
        .predict("image/png", pictures::gray_png(&gray))
        .await
        .problem(500, "internal");
    server.get("/model").await.ok();
    server.send(server.request(Method::HEAD, "/model")).await;

    let metrics = server.get("/metrics").await;
    let read = |series: &str| metric(metrics.text(), series);
    let requests = |method: &str, route: &str, status: u16| {
        read(&format!(
            "fer_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"
        ))
    };
    let counted: [(f64, f64); 17] = [
        (requests("POST", "/predict", 200), 6.0),
        (requests("POST", "/predict", 415), 3.0),
        (requests("POST", "/predict", 422), 1.0),
        (requests("POST", "/predict", 400), 1.0),
        (requests("POST", "/predict", 500), 1.0),
        (requests("POST", "/predict", 503), 0.0),
        (requests("GET", "/model", 200), 1.0),
        (requests("HEAD", "/model", 200), 1.0),
        (
            read("fer_http_request_duration_seconds_count{route=\"/predict\"}"),
            12.0,
        ),
        // This request itself.
        (read("fer_http_requests_in_flight"), 1.0),
        (read("fer_queue_depth"), 0.0),
        // Pictures: 5 + 4 + 3 + 1 + 1; the one that is not base64 is taken for decoding, too.
        (read("fer_decode_duration_seconds_count"), 14.0),
        // Faces: 5 + 3 + the one the model fails on.
        (read("fer_batch_size_sum"), 9.0),
        (
            read("fer_batch_size_count"),
            read("fer_inference_duration_seconds_count"),
        ),
        (read("fer_engine_failures_total{kind=\"error\"}"), 1.0),
        (read("fer_engine_failures_total{kind=\"panic\"}"), 0.0),
        (read("fer_rejected_total{reason=\"queue_full\"}"), 0.0),
    ];
    for (i, (got, expected)) in counted.iter().enumerate() {
        assert!(
            (got - expected).abs() < f64::EPSILON,
            "number {i}: {got} and not {expected}\n{}",
            metrics.text()
        );
    }
    let predicted: f64 = metrics
        .text()
        .lines()
        .filter_map(|l| {
            l.strip_prefix("fer_predictions_total{")?
                .split_once("} ")?
                .1
                .parse::<f64>()
                .ok()
        })
        .sum();
    assert!((predicted - 8.0).abs() < f64::EPSILON, "{predicted}");
}

#[tokio::test]
async fn labels_have_a_bounded_set_of_values() {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    let strange = |i: usize| Method::from_bytes(format!("BREW{i}").as_bytes()).unwrap();
    let ask = async |i: usize| {
        server
            .get(&format!("/no/such/path/{i}"))
            .await
            .problem(404, "not_found");
        server
            .get(&format!("/predict/{i}"))
            .await
            .problem(404, "not_found");
        server
            .send(server.request(strange(i), &format!("/{i}")))
            .await
            .problem(404, "not_found");
        server
            .send(server.request(strange(i), "/predict"))
            .await
            .problem(405, "method_not_allowed");
    };
    ask(0).await;
    let before = server.get("/metrics").await;
    for i in 1..10 {
        ask(i).await;
    }
    let after = server.get("/metrics").await;
    assert_eq!(series(before.text()), series(after.text()));
    for (method, route, status, count) in [
        ("GET", "other", 404, 20.0),
        ("other", "other", 404, 10.0),
        ("other", "/predict", 405, 10.0),
    ] {
        let name =
            format!("fer_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}");
        assert!(
            (metric(after.text(), &name) - count).abs() < f64::EPSILON,
            "{name}"
        );
    }
    assert!(!after.text().contains("such") && !after.text().contains("BREW"));
}
