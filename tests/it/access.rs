//! API keys, the limit of requests a client, CORS, `POST /admin/reload` and the second port.

mod reload;

use std::path::PathBuf;

use reqwest::{Method, RequestBuilder};
use tempfile::TempDir;

use crate::support::{Answer, Server, model, pictures};

const KEY: &str = "the-shop-0123456789abcdef";
const OTHER: &str = "the-lab-0123456789abcdef";

/// A file of keys in a folder of its own.
struct Keys(TempDir);

impl Keys {
    fn new(text: &str) -> Self {
        let keys = Self(TempDir::new().unwrap());
        keys.write(text);
        keys
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }
}

async fn keyed(keys: &Keys, more: &[&str]) -> (TempDir, Server) {
    let folder = model::tiny();
    let path = keys.path();
    let flags = [&["--api-keys", path.to_str().unwrap()], more].concat();
    let server = Server::start(folder.path(), &flags).await;
    (folder, server)
}

async fn with_key(server: &Server, request: RequestBuilder, key: &str) -> Answer {
    server.send(request.bearer_auth(key)).await
}

async fn predict(server: &Server, key: &str) -> Answer {
    let request = server
        .request(Method::POST, "/predict")
        .body(pictures::face_png(0.0));
    with_key(server, request, key).await
}

async fn reload(server: &Server, key: &str) -> Answer {
    with_key(server, server.request(Method::POST, "/admin/reload"), key).await
}

#[tokio::test]
async fn with_keys_only_their_bearers_get_work_done() {
    let keys = Keys::new(&format!("# ours\n{KEY} # the shop\n\n{OTHER}\n"));
    let (_folder, server) = keyed(&keys, &[]).await;
    for key in [KEY, OTHER] {
        predict(&server, key).await.ok();
        with_key(&server, server.request(Method::GET, "/model"), key)
            .await
            .ok();
    }
    for (method, path) in [
        (Method::POST, "/predict"),
        (Method::POST, "/faces"),
        (Method::GET, "/model"),
        (Method::POST, "/admin/reload"),
        (Method::GET, "/v2"),
        (Method::POST, "/v2/models/tiny/infer"),
    ] {
        let none = server.send(server.request(method.clone(), path)).await;
        let body = none.problem(401, "unauthorized");
        assert_eq!(body.get("error").is_some(), path.starts_with("/v2"), "{body}");
        assert_eq!(
            none.header("www-authenticate"),
            "Bearer realm=\"fer-serve\"",
            "{path}"
        );
        for wrong in ["x", &KEY[1..], &format!("{KEY}0"), &KEY.to_uppercase()] {
            let answer = with_key(&server, server.request(method.clone(), path), wrong).await;
            answer.problem(401, "unauthorized");
            assert!(
                answer
                    .header("www-authenticate")
                    .contains("error=\"invalid_token\"")
            );
        }
        let basic = server.request(method, path).basic_auth("bearer", Some(KEY));
        server.send(basic).await.problem(401, "unauthorized");
    }
    // Probes, metrics, the contract and the page are everybody's.
    for path in [
        "/livez",
        "/readyz",
        "/healthz",
        "/metrics",
        "/openapi.yaml",
        "/",
        "/console/app.js",
        "/v2/health/ready",
        "/v2/models/tiny/ready",
    ] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    server.get("/nowhere").await.problem(404, "not_found");
    assert!(
        (server
            .metric(r#"fer_rejected_total{reason="unauthorized"}"#)
            .await
            - 36.0)
            .abs()
            < f64::EPSILON
    );
}

#[tokio::test]
async fn a_body_sent_without_a_key_is_taken_in_and_the_refusal_read() {
    let keys = Keys::new(KEY);
    let (_folder, server) = keyed(&keys, &[]).await;
    server
        .predict("image/png", vec![0; 1 << 20])
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn keys_are_read_again_and_a_bad_file_changes_nothing() {
    let keys = Keys::new(KEY);
    let (folder, server) = keyed(&keys, &[]).await;
    keys.write(OTHER);
    predict(&server, KEY).await.ok();
    reload(&server, KEY).await.ok();
    predict(&server, KEY).await.problem(401, "unauthorized");
    predict(&server, OTHER).await.ok();

    for (text, words) in [
        ("", "no key"),
        ("# none\n", "no key"),
        ("fine-0123456789\nse cret\n", "line 2"),
    ] {
        keys.write(text);
        let body = reload(&server, OTHER).await.problem(422, "reload_refused");
        let detail = body["detail"].as_str().unwrap();
        assert!(
            detail.contains("API keys") && detail.contains(words) && !detail.contains("cret"),
            "{detail}"
        );
        predict(&server, OTHER).await.ok();
    }
    std::fs::remove_file(keys.path()).unwrap();
    reload(&server, OTHER).await.problem(422, "reload_refused");
    predict(&server, OTHER).await.ok();

    // A broken model does not keep a withdrawn key alive.
    keys.write(KEY);
    std::fs::remove_file(folder.path().join("model.json")).unwrap();
    reload(&server, OTHER).await.problem(422, "reload_refused");
    predict(&server, OTHER).await.problem(401, "unauthorized");
    predict(&server, KEY).await.ok();
}

#[tokio::test]
async fn a_start_with_a_bad_file_of_keys_fails_and_says_why() {
    let folder = model::tiny();
    let keys = Keys::new("good-0123456789abc\nse cret\n");
    let path = keys.path().to_str().unwrap().to_owned();
    for (change, words) in [(None, "line 2"), (Some(""), "holds no key")] {
        if let Some(text) = change {
            keys.write(text);
        }
        let server = Server::start_unready(folder.path(), &["--api-keys", &path]).await;
        let message = server.ended().await.unwrap_err();
        for word in ["--api-keys", &path, words] {
            assert!(message.contains(word), "{word} is not in {message}");
        }
        assert!(!message.contains("cret"), "{message}");
    }
    model::replace_by_fifo(&keys.path());
    let server = Server::start_unready(folder.path(), &["--api-keys", &path]).await;
    let message = server.ended().await.unwrap_err();
    assert!(message.contains("is not a regular file"), "{message}");
    let server = Server::start_unready(folder.path(), &["--api-keys", "/no/such/file"]).await;
    let message = server.ended().await.unwrap_err();
    assert!(message.contains("/no/such/file"), "{message}");
}

/// So slow a rate that no further request is let through while the test runs.
const HARDLY_EVER: [&str; 4] = ["--rate-limit", "0.001", "--rate-burst", "3"];

fn from(server: &Server, forwarded: &str) -> RequestBuilder {
    server
        .request(Method::GET, "/model")
        .header("x-forwarded-for", forwarded)
}

#[tokio::test]
async fn a_client_that_sends_too_much_is_told_when_to_come_back() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &HARDLY_EVER).await;
    for _ in 0..2 {
        server.get("/model").await.ok();
    }
    server.predict("image/png", pictures::face_png(0.0)).await.ok();
    for n in 0..4 {
        // What the client claims to be does not count.
        let refused = server.send(from(&server, &format!("10.0.0.{n}"))).await;
        refused.problem(429, "rate_limited");
        let wait: u32 = refused.header("retry-after").parse().unwrap();
        assert!((900..=1000).contains(&wait), "{wait}");
    }
    server
        .predict("image/png", pictures::face_png(0.0))
        .await
        .problem(429, "rate_limited");
    for path in ["/livez", "/readyz", "/metrics", "/openapi.yaml"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    assert!((server.metric(r#"fer_rejected_total{reason="rate_limit"}"#).await - 5.0).abs() < f64::EPSILON);
    assert!(
        (server
            .metric(r#"fer_http_requests_total{method="GET",route="/model",status="429"}"#)
            .await
            - 4.0)
            .abs()
            < f64::EPSILON
    );
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_whom_it_names() {
    let folder = model::tiny();
    let flags = [&HARDLY_EVER[..], &["--trusted-proxies", "1"]].concat();
    let server = Server::start(folder.path(), &flags).await;
    for last in ["10.0.0.1", "10.0.0.2", "2001:db8::1"] {
        for n in 0..3 {
            // The first entry is the client's own invention.
            server
                .send(from(&server, &format!("6.6.6.{n}, {last}")))
                .await
                .ok();
        }
        server
            .send(from(&server, &format!("7.7.7.7, {last}")))
            .await
            .problem(429, "rate_limited");
    }
}

#[tokio::test]
async fn with_keys_the_limit_is_each_keys_own_and_guesses_count() {
    let keys = Keys::new(&format!("{KEY}\n{OTHER}\n"));
    let (_folder, server) = keyed(&keys, &HARDLY_EVER).await;
    let model = |key: &'static str| with_key(&server, server.request(Method::GET, "/model"), key);
    for _ in 0..3 {
        model(KEY).await.ok();
    }
    model(KEY).await.problem(429, "rate_limited");
    for _ in 0..3 {
        model("a-guess").await.problem(401, "unauthorized");
    }
    model("a-guess").await.problem(429, "rate_limited");
    for _ in 0..3 {
        model(OTHER).await.ok();
    }
    model(OTHER).await.problem(429, "rate_limited");
}

const PAGE: &str = "https://app.example.org";

#[tokio::test]
async fn pages_of_named_origins_may_ask_and_others_may_not() {
    let keys = Keys::new(KEY);
    let (_folder, server) = keyed(
        &keys,
        &["--cors-origins", "https://app.example.org,http://localhost:3000"],
    )
    .await;
    let preflight = |origin: &'static str| {
        server
            .request(Method::OPTIONS, "/predict")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
    };
    // A preflight carries no key and must be answered all the same.
    let answer = server.send_raw(preflight(PAGE)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    for (name, word) in [
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-max-age", "3600"),
    ] {
        assert!(
            answer.header(name).contains(word),
            "{name}: {}",
            answer.header(name)
        );
    }
    let answer = server.send_raw(preflight("https://evil.example.org")).await;
    assert!(answer.headers.get("access-control-allow-origin").is_none());

    let ask = |origin: &'static str, key: &'static str| {
        let request = server.request(Method::POST, "/predict").header("origin", origin);
        request.bearer_auth(key).body(pictures::face_png(0.0))
    };
    let answer = server.send_raw(ask(PAGE, KEY)).await;
    answer.ok();
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("x-request-id")
    );
    assert!(answer.headers.get("access-control-allow-credentials").is_none());
    // The page can read a refusal, too.
    let answer = server.send_raw(ask("http://localhost:3000", "wrong-key")).await;
    answer.problem(401, "unauthorized");
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "http://localhost:3000"
    );
    let answer = server.send_raw(ask("https://evil.example.org", KEY)).await;
    assert!(answer.headers.get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn cors_is_off_by_default_and_can_be_for_all() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    let request = server.request(Method::GET, "/model").header("origin", PAGE);
    let answer = server.send(request).await;
    assert!(
        answer
            .headers
            .keys()
            .all(|n| !n.as_str().starts_with("access-control")),
        "{answer:?}"
    );
    let server = Server::start(folder.path(), &["--cors-origins", "*"]).await;
    let request = server.request(Method::GET, "/model").header("origin", PAGE);
    assert_eq!(
        server
            .send_raw(request)
            .await
            .header("access-control-allow-origin"),
        "*"
    );
}
