//! The quick form of `tools/fer soak`: all kinds of requests at once while the model is loaded again and again.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::Method;
use serde_json::json;

use super::{descriptors, status};
use crate::{
    process::Process,
    support::{
        Raw, model,
        pictures::{self, Format, Layout},
        raw,
        server::metric,
    },
};

const CLIENTS: usize = 4;
const RELOADS: usize = 3;
/// Resident memory that may have come in so short a time: two models at once, and what pictures take.
const MEMORY: u64 = 192 << 20;

/// One kind of request.
struct Kind {
    path: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
    right: RangeInclusive<u16>,
}

fn kinds() -> Vec<Kind> {
    let kind = |path, content_type, body: Vec<u8>, right| Kind {
        path,
        content_type,
        body,
        right,
    };
    let small = pictures::face_png(0.5);
    let large = pictures::encode(
        Format::Jpeg,
        Layout::Gray,
        640,
        480,
        &pictures::face(640, 480, 0.2),
    );
    let text = BASE64_STANDARD.encode(&small);
    let part = [
        b"--B\r\ncontent-disposition: form-data; name=\"image\"; filename=\"f\"\r\n\r\n".as_slice(),
        &small,
        b"\r\n",
    ]
    .concat();
    let form = [part.as_slice(), &part, b"--B--\r\n"].concat();
    let tensor = json!({"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]});
    let cut = large[..large.len() / 2].to_vec();
    vec![
        kind("/predict", "image/png", small, 200..=200),
        kind("/predict", "image/jpeg", large.clone(), 200..=200),
        kind(
            "/predict",
            "application/json",
            json!({"images": [text, text, text]}).to_string().into(),
            200..=200,
        ),
        kind("/predict", "multipart/form-data; boundary=B", form, 200..=200),
        kind("/faces", "image/jpeg", large, 200..=200),
        kind(
            "/v2/models/tiny/infer",
            "application/json",
            json!({"inputs": [tensor]}).to_string().into(),
            200..=200,
        ),
        kind("/predict", "image/jpeg", cut, 400..=499),
        kind("/predict", "application/json", b"{\"image\":".to_vec(), 400..=499),
    ]
}

/// Sends every kind in turn, each right or the test fails, and after each leaves in the middle of another; how many rounds.
async fn client(address: SocketAddr, enough: Arc<AtomicBool>) -> usize {
    let kinds = kinds();
    let mut kept = Raw::connect(address).await;
    let mut rounds = 0;
    while !enough.load(Ordering::Relaxed) || rounds == 0 {
        for kind in &kinds {
            let length = kind.body.len().to_string();
            let headers = [("content-type", kind.content_type), ("content-length", &length)];
            let head = raw::head(&Method::POST, kind.path, &headers);
            kept.send(&head).await;
            kept.send(&kind.body).await;
            let answer = kept.answer(&Method::POST, kind.path).await;
            assert!(
                kind.right.contains(&answer.status.as_u16()),
                "{} {}: {} {}",
                kind.path,
                kind.content_type,
                answer.status,
                answer.text()
            );
            let mut leaver = Raw::connect(address).await;
            leaver.send(&head).await;
            leaver.send(&kind.body[..kind.body.len() / 2]).await;
        }
        rounds += 1;
    }
    rounds
}

#[tokio::test]
async fn mixed_traffic_goes_on_while_the_model_is_loaded_again() {
    let model = model::tiny();
    let mut process = Process::start(model.path(), &[]).await;
    process.get("/readyz").await.ok();
    let before = (descriptors(&process), status(&process, "VmRSS"));

    let enough = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> =
        std::iter::repeat_with(|| tokio::spawn(client(process.address, Arc::clone(&enough))))
            .take(CLIENTS)
            .collect();
    for _ in 0..RELOADS {
        process.signal("HUP");
        process.logged("model loaded and warmed up").await;
    }
    enough.store(true, Ordering::Relaxed);
    let mut rounds = 0;
    for client in clients {
        rounds += client.await.unwrap();
    }

    let metrics = process.get("/metrics").await;
    let loads = metric(metrics.text(), "fer_model_reloads_total{result=\"success\"}");
    assert_eq!(loads, RELOADS as f64, "{}", metrics.text());
    // Every one of them is counted, and none of those that left.
    let faces = "fer_http_requests_total{method=\"POST\",route=\"/faces\",status=\"200\"}";
    assert_eq!(metric(metrics.text(), faces), rounds as f64, "{}", metrics.text());
    // Who has left is noticed, and nothing of the old models is kept.
    for waited in 0.. {
        let after = (descriptors(&process), status(&process, "VmRSS"));
        if after.0 <= before.0 && after.1 <= before.1 + MEMORY {
            break;
        }
        assert!(waited < 300, "{before:?} became {after:?} after {rounds} rounds");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
