//! What holds for every route: request ids, HEAD, unknown paths and methods, compression.

use std::collections::BTreeSet;

use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::{Method, header::HeaderValue};

use crate::support::{Answer, Raw, Server, model, pictures, raw};

async fn with_id(server: &Server, method: Method, path: &str, id: &[u8]) -> Answer {
    let id = HeaderValue::from_bytes(id).unwrap();
    server
        .send(server.request(method, path).header("x-request-id", id))
        .await
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit() && !b.is_ascii_uppercase(),
        })
}

#[tokio::test]
async fn a_request_id_is_echoed_made_or_replaced() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    let longest = "x".repeat(128);
    for good in ["a", "6f1c-2", "trace:1/2,x=\"y\"", &longest] {
        for (method, path) in [
            (Method::GET, "/model"),
            (Method::GET, "/nowhere"),
            (Method::POST, "/predict"),
        ] {
            let answer = with_id(&server, method, path, good.as_bytes()).await;
            assert_eq!(answer.header("x-request-id"), good);
        }
    }
    let mut made = BTreeSet::new();
    for bad in [
        &b""[..],
        b"two words",
        b"tab\there",
        "ä".as_bytes(),
        "x".repeat(129).as_bytes(),
    ] {
        let answer = with_id(&server, Method::GET, "/livez", bad).await;
        made.insert(answer.header("x-request-id").to_owned());
    }
    for path in ["/livez", "/nowhere"] {
        made.insert(server.get(path).await.header("x-request-id").to_owned());
    }
    assert_eq!(made.len(), 7, "each is new: {made:?}");
    assert!(made.iter().all(|id| is_uuid(id)), "{made:?}");

    // The id of a problem is the one in the header, with the client's own and without.
    let answer = with_id(&server, Method::POST, "/predict", b"mine").await;
    assert_eq!(answer.problem(400, "empty_body")["request_id"], "mine");
    let answer = server.predict("text/plain", "x").await;
    assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
}

#[tokio::test]
async fn paths_that_are_not_there_are_404() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    for path in [
        "/predict/",
        "/Predict",
        "/livez/x",
        "/%00",
        "/..%2f..%2fetc/passwd",
        "/openapi.yml",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            server
                .send(server.request(method, path))
                .await
                .problem(404, "not_found");
        }
    }
    // A query is no part of the path.
    assert_eq!(server.get("/livez?a=b").await.status, 200);
}

#[tokio::test]
async fn head_gives_the_headers_of_get() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    for path in [
        "/livez",
        "/readyz",
        "/healthz",
        "/metrics",
        "/model",
        "/openapi.yaml",
    ] {
        let get = server.get(path).await;
        let head = server.send(server.request(Method::HEAD, path)).await;
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        if path != "/metrics" {
            assert_eq!(
                head.header("content-length"),
                get.body.len().to_string(),
                "{path}"
            );
        }
    }
    server.send(server.request(Method::HEAD, "/nowhere")).await;
    let refused = server.send(server.request(Method::HEAD, "/predict")).await;
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_asks() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    let mut raw = Raw::connect(server.address).await;
    let ask = [("accept-encoding", "gzip"), ("connection", "close")];
    raw.send(raw::head(&Method::GET, "/openapi.yaml", &ask)).await;
    let head = raw.head_only().await;
    assert!(head.contains("\r\ncontent-encoding: gzip"), "{head}");
    assert!(head.contains("\r\nvary: accept-encoding"), "{head}");
    let plain = server.get("/openapi.yaml").await;
    assert!(plain.headers.get("content-encoding").is_none());
    // Short ones are not worth it.
    let short = server
        .request(Method::GET, "/livez")
        .header("accept-encoding", "gzip");
    assert!(server.send(short).await.headers.get("content-encoding").is_none());
}

#[tokio::test]
async fn whatever_a_client_accepts_it_gets_json() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    for accept in [
        "application/json",
        "text/html, */*;q=0.1",
        "image/png",
        "application/json;q=0",
        "nonsense",
    ] {
        let predict = |body| {
            server
                .request(Method::POST, "/predict")
                .header("accept", accept)
                .body(body)
        };
        let answer = server.send(predict(pictures::face_png(0.0))).await;
        answer.ok();
        assert_eq!(answer.header("content-type"), "application/json", "{accept}");
        let refused = server.send(predict(b"no picture".to_vec())).await;
        refused.problem(415, "unknown_image_format");
        assert_eq!(
            refused.header("content-type"),
            "application/problem+json",
            "{accept}"
        );
    }
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_refusal() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &["--max-body", "1000"]).await;
    let mut raw = Raw::connect(server.address).await;
    let post = Method::POST;
    // A body that is refused by its type or its size is taken in and does not stand in the way of the next.
    for (media, length, status, code) in [
        ("text/plain", 10_usize, 415, "unsupported_media_type"),
        ("image/png", 2000, 413, "body_too_large"),
        ("image/png", 900, 415, "unknown_image_format"),
    ] {
        let headers = [("content-type", media), ("content-length", &*length.to_string())];
        raw.send(raw::head(&post, "/predict", &headers)).await;
        raw.send(vec![b'x'; length]).await;
        raw.answer(&post, "/predict").await.problem(status, code);
    }
    raw.send(raw::head(&Method::GET, "/livez", &[])).await;
    assert_eq!(raw.answer(&Method::GET, "/livez").await.status, 200);
}

#[tokio::test]
async fn http2_without_tls_is_spoken_too() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let url = format!("http://{}/predict", server.address);
    let response = client
        .post(url)
        .body(pictures::face_png(0.2))
        .send()
        .await
        .unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.unwrap().to_vec();
    let answer = Answer::checked(&Method::POST, "/predict", status, headers, body);
    assert_eq!(
        answer.ok(),
        server.predict("image/png", pictures::face_png(0.2)).await.ok()
    );
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_the_connection_closed() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    let long_header = raw::head(&Method::GET, "/livez", &[("x-long", &"x".repeat(1 << 20))]);
    let long_path = raw::head(&Method::GET, &format!("/{}", "x".repeat(70_000)), &[]);
    let two_lengths = raw::head(
        &Method::POST,
        "/predict",
        &[("content-length", "1"), ("content-length", "2")],
    );
    for (request, status) in [
        ("smile\r\n\r\n", "400"),
        (two_lengths.as_str(), "400"),
        (&long_path, "414"),
        (&long_header, "431"),
    ] {
        let mut raw = Raw::connect(server.address).await;
        raw.send(request).await;
        // Ends only because the server closes the connection.
        let head = raw.head_only().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    assert_eq!(server.get("/livez").await.status, 200);
}

/// A body of which nothing ever comes.
struct Never;

impl hyper::body::Body for Never {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

/// Were the bodies waited for, the answers would come in an hour.
#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &["--body-timeout", "1h"]).await;
    let post = Method::POST;
    let length = ("content-length", "100000");
    for (path, headers, status, code) in [
        ("/nowhere", &[length][..], 404, "not_found"),
        ("/livez", &[length], 405, "method_not_allowed"),
        (
            "/predict",
            &[length, ("content-type", "text/plain")],
            415,
            "unsupported_media_type",
        ),
        ("/nowhere", &[length, ("expect", "something")], 404, "not_found"),
    ] {
        let mut raw = Raw::connect(server.address).await;
        raw.send(raw::head(&post, path, headers)).await;
        let answer = raw.answer(&post, path).await;
        answer.problem(status, code);
        // It may be used again if the rest comes.
        assert!(answer.headers.get("connection").is_none(), "{path}");
    }
    // Who waits to be asked for the body will not be, and learns that the connection is over.
    let mut raw = Raw::connect(server.address).await;
    raw.send(raw::head(
        &post,
        "/nowhere",
        &[length, ("expect", "100-Continue")],
    ))
    .await;
    let answer = raw.answer(&post, "/nowhere").await;
    answer.problem(404, "not_found");
    assert_eq!(answer.header("connection"), "close");
    assert!(raw.closed().await);

    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = axum::http::Request::post("http://localhost/nowhere")
        .body(Never)
        .unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer::checked(&post, "/nowhere", parts.status, parts.headers, body).problem(404, "not_found");
}
