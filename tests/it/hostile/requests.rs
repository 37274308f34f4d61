//! Requests that are malformed, or long where the answer repeats them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    predict::base64,
    support::{Answer, Raw, Server, model, pictures, raw},
};

/// What comes on a new connection after these bytes: the status, and the body.
async fn asked(server: &Server, head: &str) -> (u16, String) {
    let mut raw = Raw::connect(server.address).await;
    raw.send(head).await;
    raw.unchecked().await
}

#[tokio::test]
async fn a_request_names_one_host() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    for path in ["/livez", "/predict", "/nowhere", "/v2"] {
        for (hosts, words) in [
            ("", "must have the header Host"),
            ("host: a\r\nhost: b\r\n", "no more than one"),
            ("host: a\r\nHost: a\r\n", "no more than one"),
        ] {
            let (status, body) = asked(&server, &format!("GET {path} HTTP/1.1\r\n{hosts}\r\n")).await;
            assert_eq!(status, 400, "{path} {hosts:?}: {body}");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["code"], "bad_request");
            assert!(body["detail"].as_str().unwrap().contains(words), "{body}");
            assert!(body["request_id"].is_string(), "{body}");
        }
        let (status, body) = asked(
            &server,
            &format!("GET {path} HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n"),
        )
        .await;
        assert_eq!(status, 400, "{body}");
    }
    for request in [
        "GET /livez HTTP/1.0\r\n\r\n",
        "GET /livez HTTP/1.0\r\nhost: a\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost:\r\n\r\n",
        "GET http://elsewhere/livez HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let (status, body) = asked(&server, request).await;
        assert_eq!(status, 200, "{request}: {body}");
    }
    // The body of what is refused is discarded behind the answer, and the connection goes on.
    let mut raw = Raw::connect(server.address).await;
    raw.send("POST /predict HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc")
        .await;
    raw.answer(&Method::POST, "/predict")
        .await
        .problem(400, "bad_request");
    raw.send(raw::head(&Method::GET, "/livez", &[])).await;
    assert_eq!(raw.answer(&Method::GET, "/livez").await.status, 200);
}

/// An inference request with one image.
fn image(datatype: &str, shape: &Value) -> Value {
    let data = [base64(&pictures::face_png(0.0))];
    json!({"inputs": [{"name": "image", "datatype": datatype, "shape": shape, "data": data}]})
}

async fn infer(server: &Server, body: &Value) -> Answer {
    let request = server.request(Method::POST, "/v2/models/tiny/infer");
    server.send(request.body(body.to_string())).await
}

#[tokio::test]
async fn what_an_answer_repeats_of_a_request_is_short() {
    let model = model::tiny();
    let server = Server::start(model.path(), &[]).await;
    let with_id = |bytes: usize| {
        let mut body = image("BYTES", &json!([1]));
        body["id"] = "x".repeat(bytes).into();
        body
    };
    assert_eq!(infer(&server, &with_id(256)).await.ok()["id"], "x".repeat(256));
    let long = "x".repeat(1 << 16);
    let mut refused = vec![
        infer(&server, &with_id(257)).await,
        infer(&server, &with_id(15 << 20)).await,
        infer(&server, &image(&long, &json!([1]))).await,
        infer(&server, &image("BYTES", &json!(vec![1; 1 << 16]))).await,
        server.predict(&format!("text/{}", &long[..8000]), "x").await,
        server.predict_json(&json!({ "images": long })).await,
        server.predict_json(&json!({ &*long: 1 })).await,
    ];
    let queries = [
        format!("/predict?crop={}", &long[..8000]),
        format!("/faces?{}=1", &long[..8000]),
    ];
    for query in queries {
        refused.push(server.send(server.request(Method::POST, &query)).await);
    }
    for answer in refused {
        let status = answer.status.as_u16();
        assert!(
            matches!(status, 400 | 415) && answer.body.len() < 4096,
            "{answer:?}"
        );
    }
    let body = infer(&server, &with_id(257)).await.problem(400, "bad_request");
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("`id` has 257 bytes; it must have at most 256"),
        "{body}"
    );
}
