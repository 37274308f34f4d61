//! The Open Inference Protocol under `/v2`.

use std::collections::BTreeSet;

use fer_image::{Limits, decode};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    contract::documented_errors,
    predict::base64,
    support::{Answer, Server, model, pictures},
};

const INFER: &str = "/v2/models/tiny/infer";
const TEMPLATE: &str = "/v2/models/{name}/infer";

/// `POST` to `path` with a JSON body.
fn asking(server: &Server, path: &str, body: &Value) -> RequestBuilder {
    server.request(Method::POST, path).body(body.to_string())
}

async fn infer(server: &Server, body: &Value) -> Answer {
    server.send(asking(server, INFER, body)).await
}

fn request(datatype: &str, shape: &Value, data: &Value) -> Value {
    json!({"id": "x-1", "inputs": [{"name": "image", "datatype": datatype, "shape": shape, "data": data}]})
}

/// The seven probabilities of each picture, as `/predict` gives them.
async fn predicted(server: &Server, pngs: &[Vec<u8>]) -> Vec<f64> {
    let images: Vec<_> = pngs.iter().map(|png| base64(png)).collect();
    let answer = server.predict_json(&json!({ "images": images })).await.ok();
    let entries = answer["predictions"].as_array().unwrap();
    let row = |e: &Value| e["probabilities"].as_object().unwrap().clone();
    entries
        .iter()
        .flat_map(|e| row(e).into_iter().map(|(_, p)| p.as_f64().unwrap()))
        .collect()
}

#[track_caller]
fn assert_close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() < 1e-6, "{got:?}\n{want:?}");
    }
}

fn data(answer: &Value) -> Vec<f64> {
    let values = answer["outputs"][0]["data"].as_array().unwrap();
    values.iter().map(|v| v.as_f64().unwrap()).collect()
}

fn drawn(n: u8) -> Vec<Vec<u8>> {
    (0..n)
        .map(|i| pictures::face_png(0.3 + f64::from(i) / 100.0))
        .collect()
}

fn gray(png: &[u8]) -> Vec<u8> {
    decode(png, &Limits::default()).unwrap().0.to_vec()
}

#[tokio::test]
async fn the_server_and_its_model_describe_themselves() {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    let about = server.get("/v2").await.ok();
    assert_eq!(about["name"], "fer-serve");
    assert!(
        about["extensions"]
            .as_array()
            .unwrap()
            .contains(&json!("binary_tensor_data"))
    );
    assert_eq!(server.get("/v2/health/live").await.ok(), json!({"live": true}));
    assert_eq!(server.get("/v2/health/ready").await.ok(), json!({"ready": true}));
    for base in ["/v2/models/tiny", "/v2/models/tiny/versions/7"] {
        let card = server.get(base).await.ok();
        assert_eq!(
            (&card["name"], &card["versions"]),
            (&json!("tiny"), &json!(["7"]))
        );
        assert_eq!(card["inputs"][0]["name"], "image");
        assert_eq!(
            card["outputs"][0],
            json!({"name": "probabilities", "datatype": "FP32", "shape": [-1, 7]})
        );
        assert_eq!(
            server.get(&format!("{base}/config")).await.ok()["max_batch_size"],
            0
        );
        assert_eq!(server.get(&format!("{base}/ready")).await.ok()["ready"], true);
    }
    for path in [
        "/v2/models/other",
        "/v2/models/tiny/versions/8",
        "/v2/models/tiny/versions/8/ready",
    ] {
        let body = server.get(path).await.problem(404, "unknown_model");
        assert!(
            body["error"]
                .as_str()
                .unwrap()
                .contains("\"tiny\", version \"7\""),
            "{body}"
        );
    }
    for path in ["/v2/models", "/v2/elsewhere"] {
        let body = server.get(path).await.problem(404, "not_found");
        assert!(body["error"].is_string(), "{body}");
    }
    let body = server.get("/elsewhere").await.problem(404, "not_found");
    assert!(body["error"].is_null(), "only under /v2: {body}");
}

#[tokio::test]
async fn every_form_of_tensor_gives_what_predict_gives() {
    let model = model::tiny();
    // Each picture alone: in another batch sums are made in another order, and the forms would differ by that too.
    let server = Server::start(model.path(), &["--max-images", "64", "--max-batch", "1"]).await;
    for n in [1, 64] {
        let pngs = drawn(n);
        let want = predicted(&server, &pngs).await;
        let texts: Vec<_> = pngs.iter().map(|png| base64(png)).collect();
        let grays: Vec<_> = pngs.iter().map(|png| gray(png)).collect();
        let floats: Vec<Vec<f32>> = grays
            .iter()
            .map(|g| g.iter().map(|v| f32::from(*v)).collect())
            .collect();
        let square = json!([n, 1, 48, 48]);
        for body in [
            request("BYTES", &json!([n]), &json!(texts)),
            request("UINT8", &square, &json!(grays)),
            request("FP32", &square, &json!(floats)),
        ] {
            let answer = infer(&server, &body).await.ok();
            assert_eq!(
                (&answer["model_name"], &answer["model_version"], &answer["id"]),
                (&json!("tiny"), &json!("7"), &json!("x-1"))
            );
            assert_eq!(answer["outputs"][0]["shape"], json!([n, 7]));
            assert_close(&data(&answer), &want);
        }
        let elements: Vec<u8> = pngs
            .iter()
            .flat_map(|png| [&(png.len() as u32).to_le_bytes()[..], png].concat())
            .collect();
        let le: Vec<u8> = floats.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
        for (datatype, shape, tail) in [
            ("BYTES", json!([n]), elements),
            ("UINT8", square.clone(), grays.concat()),
            ("FP32", square.clone(), le),
        ] {
            assert_close(&binary(&server, datatype, &shape, &tail).await, &want);
        }
    }
}

/// Asks with bytes for bytes.
async fn binary(server: &Server, datatype: &str, shape: &Value, tail: &[u8]) -> Vec<f64> {
    let head = json!({
        "inputs": [{"name": "image", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": tail.len()}}],
        "outputs": [{"name": "probabilities", "parameters": {"binary_data": true}}],
    })
    .to_string();
    let request = server
        .request(Method::POST, INFER)
        .header("inference-header-content-length", head.len())
        .body([head.as_bytes(), tail].concat());
    bytes_of(request).await
}

/// The tensor of an answer in bytes.
async fn bytes_of(request: RequestBuilder) -> Vec<f64> {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    let length = answer.headers()["inference-header-content-length"]
        .to_str()
        .unwrap();
    let length: usize = length.parse().unwrap();
    let body = answer.bytes().await.unwrap();
    let head: Value = serde_json::from_slice(&body[..length]).unwrap();
    let tail = &body[length..];
    assert_eq!(head["outputs"][0]["parameters"]["binary_data_size"], tail.len());
    assert!(head["outputs"][0]["data"].is_null());
    tail.chunks(4)
        .map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())))
        .collect()
}

#[tokio::test]
async fn a_picture_alone_is_the_whole_body() {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    let pngs = drawn(1);
    let request = server
        .request(Method::POST, INFER)
        .header("inference-header-content-length", 0)
        .body(pngs[0].clone());
    assert_close(&bytes_of(request).await, &predicted(&server, &pngs).await);
}

/// Every documented error that a running server gives, each with `error`.
#[tokio::test]
async fn every_error_has_its_code_and_the_protocols_key() {
    let model = model::tiny();
    let flags = [
        "--max-images",
        "2",
        "--max-body",
        "64Ki",
        "--max-pixels",
        "10000",
        "--body-timeout",
        "300ms",
    ];
    let server = Server::start(model.path(), &flags).await;
    let png = pictures::face_png(0.5);
    let bytes = |data: &[u8]| request("BYTES", &json!([1]), &json!([base64(data)]));
    let large = pictures::encode(
        pictures::Format::Png,
        pictures::Layout::Gray,
        200,
        200,
        &[9; 40_000],
    );
    let post = |body: &Value| asking(&server, INFER, body);
    let encoded = post(&bytes(&png)).header("content-encoding", "gzip");
    let length = post(&bytes(&png)).header("inference-header-content-length", "all");
    let elsewhere = asking(&server, "/v2/models/other/infer", &bytes(&png));
    let mut seen = BTreeSet::new();
    for (request, status, code) in [
        (length, 400, "bad_request"),
        (server.request(Method::POST, INFER), 400, "empty_body"),
        (post(&bytes(b"")), 400, "empty_image"),
        (server.request(Method::POST, INFER).body("{"), 400, "bad_json"),
        (
            post(&request("BYTES", &json!([1]), &json!(["*"]))),
            400,
            "bad_base64",
        ),
        (
            post(&request("INT8", &json!([1]), &json!([1]))),
            400,
            "bad_tensor",
        ),
        (elsewhere, 404, "unknown_model"),
        (
            post(&request("BYTES", &json!([3]), &json!(["", "", ""]))),
            413,
            "too_many_images",
        ),
        (
            server.request(Method::POST, INFER).body(vec![b' '; 70_000]),
            413,
            "body_too_large",
        ),
        (encoded, 415, "unsupported_encoding"),
        (post(&bytes(b"no picture")), 415, "unknown_image_format"),
        (post(&bytes(&png[..png.len() / 2])), 422, "broken_image"),
        (post(&bytes(&large)), 422, "too_many_pixels"),
        (
            post(&bytes(&pictures::arithmetic_jpeg())),
            422,
            "unsupported_image",
        ),
    ] {
        let body = server.send(request).await.problem(status, code);
        assert!(
            body["error"]
                .as_str()
                .unwrap()
                .contains(body["detail"].as_str().unwrap()),
            "{body}"
        );
        seen.insert((status, code.to_owned()));
    }
    // These need a slow, busy, failing or guarded server; /predict's tests have them, through the same code.
    for (status, code) in [
        (401, "unauthorized"),
        (408, "body_timeout"),
        (422, "too_costly"),
        (429, "rate_limited"),
        (500, "internal"),
        (503, "not_ready"),
        (503, "overloaded"),
        (504, "deadline_exceeded"),
    ] {
        seen.insert((status, code.to_owned()));
    }
    assert_eq!(documented_errors(TEMPLATE, "post"), seen);
    // One bad picture among several fails them all, and says which it is.
    let two = request("BYTES", &json!([2]), &json!([base64(&png), base64(b"GIF89a")]));
    let answer = server.send(post(&two)).await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .starts_with("element 1: ")
    );
}

#[tokio::test]
async fn a_server_without_its_model_yet_says_so_in_the_protocols_words() {
    let (_late, server) = model::Late::start(&[]).await;
    assert_eq!(server.get("/v2/health/live").await.status, 200);
    assert_eq!(server.get("/v2").await.status, 200);
    let body = request("UINT8", &json!([1, 1, 48, 48]), &json!(vec![0; 48 * 48]));
    for asked in [
        server.request(Method::GET, "/v2/health/ready"),
        server.request(Method::GET, "/v2/models/tiny"),
        server.request(Method::GET, "/v2/models/tiny/ready"),
        asking(&server, INFER, &body),
    ] {
        let answer = server.send(asked).await;
        let body = answer.problem(503, "not_ready");
        assert!(body["error"].is_string(), "{body}");
        assert_eq!(answer.header("retry-after"), "1");
    }
    let refused = server.metric("fer_rejected_total{reason=\"not_ready\"}").await;
    assert!(
        (refused - 1.0).abs() < f64::EPSILON,
        "work only counts: {refused}"
    );
}

#[tokio::test]
async fn other_methods_are_refused_with_what_is_allowed() {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    for (method, path, allowed) in [
        (Method::GET, INFER, "POST"),
        (Method::DELETE, "/v2/models/tiny", "GET,HEAD"),
        (Method::POST, "/v2/health/ready", "GET,HEAD"),
    ] {
        let answer = server.send_raw(server.request(method, path)).await;
        let body = answer.problem(405, "method_not_allowed");
        assert!(body["error"].is_string(), "{path}: {body}");
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
}
