//! All layers in front of a fake engine, for behaviour that no real model shows on demand.

use std::{
    num::NonZeroUsize,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, request},
    routing::get,
};
use fer_engine::{Classifier, EngineError, EngineInfo, Incumbent, Logits, emotion::CLASSES};
use fer_image::{Face, PIXELS};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::{
    batcher::{Batcher, BatcherOptions, EngineFactory, Policy},
    config::{Command, Config},
    loaded_model::LoadedModel,
    observability::metrics::Metrics,
};

/// Answers by a face's first pixel: 0 is angry, 1 fails, 2 panics; 3 waits for the gate first.
struct Fake(Arc<Mutex<Receiver<()>>>, Sender<()>);

impl Classifier for Fake {
    fn classify(&mut self, faces: &[Face]) -> Result<Vec<Logits>, EngineError> {
        match faces.first().map(|f| f.0[0]) {
            Some(1) => {
                return Err(EngineError::Shape {
                    got: vec![9, 9],
                    batch: 1,
                });
            }
            Some(2) => panic!("secret of the engine"),
            Some(3) => {
                self.1.send(()).unwrap();
                self.0.lock().recv().unwrap();
            }
            _ => {}
        }
        Ok(vec![[5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]; faces.len()])
    }

    fn info(&self) -> EngineInfo {
        EngineInfo {
            engine: "fake",
            precision: "f32",
            device: "cpu".to_owned(),
        }
    }
}

struct Rig {
    app: Arc<App>,
    router: Router,
    open: Sender<()>,
    busy: Receiver<()>,
}

fn rig(flags: &[&str]) -> Rig {
    let args = ["fer-serve", "--workers", "1"].iter().chain(flags);
    let Command::Run(config) = Config::parse_from(args).unwrap() else {
        panic!("not run")
    };
    let metrics = Arc::new(Metrics::new(series()).unwrap());
    let (open, gate) = channel();
    let (tell, busy) = channel();
    let (gate, tell) = (Arc::new(Mutex::new(gate)), Mutex::new(tell));
    let options = BatcherOptions {
        workers: NonZeroUsize::MIN,
        policy: Policy {
            max_batch: NonZeroUsize::MIN,
            linger: Duration::ZERO,
        },
        queue: config.queue(false),
    };
    let factory = move || -> Result<Box<dyn Classifier>, EngineError> {
        Ok(Box::new(Fake(Arc::clone(&gate), tell.lock().clone())))
    };
    let batcher = Batcher::start(&(Arc::new(factory) as Arc<EngineFactory>), options, &metrics).unwrap();
    let manifest = serde_json::from_value(serde_json::json!({
        "name": "fake", "version": "7", "labels": vec!["x"; CLASSES], "files": {},
        "input": {"width": 48, "height": 48, "channels": 1, "scale": 1.0, "mean": 0.0, "std": 1.0},
    }))
    .unwrap();
    let app = Arc::new(App::new(*config, metrics, false).unwrap());
    let serves = Incumbent {
        info: batcher.info().clone(),
        int8: false,
    };
    app.pipeline.swap_model(Some(Arc::new(LoadedModel {
        manifest,
        serves,
        batcher,
    })));
    let panics = get(|| async {
        if true {
            panic!("secret of the handler")
        }
    });
    let all = served(&app, Port::Main, Reloads::channel().0);
    let router = layers::of_all(all.route("/panic", panics), Arc::clone(&app));
    Rig {
        app,
        router,
        open,
        busy,
    }
}

fn get_at(path: &str) -> request::Builder {
    Request::get(path).header("host", "x")
}

fn post_at(path: &str) -> request::Builder {
    Request::post(path).header("host", "x")
}

/// A picture whose face has that gray everywhere.
fn picture(gray: u8) -> Vec<u8> {
    [b"P5 48 48 255\n".as_slice(), &[gray; PIXELS]].concat()
}

fn post_of(body: Vec<u8>) -> Request {
    post_at("/predict")
        .header("x-request-id", "it")
        .body(Body::from(body))
        .unwrap()
}

async fn send(router: &Router, request: Request) -> (u16, HeaderMap, String) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        parts.status.as_u16(),
        parts.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

async fn problem(rig: &Rig, request: Request) -> (u16, String, HeaderMap) {
    let (status, headers, body) = send(&rig.router, request).await;
    assert_eq!(headers["content-type"], problem::MEDIA_TYPE, "{body}");
    assert!(!body.contains("secret"), "the inside got out: {body}");
    let json: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["status"], status);
    assert_eq!(json["request_id"], headers["x-request-id"].to_str().unwrap());
    (status, json["code"].as_str().unwrap().to_owned(), headers)
}

#[tokio::test]
async fn a_picture_is_answered_by_the_model_in_place() {
    let rig = rig(&[]);
    let (status, headers, body) = send(&rig.router, post_of(picture(0))).await;
    assert_eq!(status, 200);
    assert!(
        body.starts_with(r#"{"emotion":"angry","#) && body.contains(r#""version":"7""#),
        "{body}"
    );
    assert!(
        headers["server-timing"]
            .to_str()
            .unwrap()
            .starts_with("decode;dur=")
    );
    assert_eq!(headers["x-request-id"], "it");
}

#[tokio::test]
async fn failures_of_the_inside_stay_inside() {
    let rig = rig(&[]);
    for request in [
        post_of(picture(1)),
        post_of(picture(2)),
        get_at("/panic").body(Body::empty()).unwrap(),
    ] {
        let (status, code, _) = problem(&rig, request).await;
        assert_eq!((status, code.as_str()), (500, "internal"));
    }
    assert_eq!(
        send(&rig.router, post_of(picture(0))).await.0,
        200,
        "it still works after all that"
    );
}

#[tokio::test]
async fn work_beyond_the_limit_is_refused_at_once() {
    let rig = rig(&["--max-in-flight", "1"]);
    let first = tokio::spawn(rig.router.clone().oneshot(post_of(picture(3))));
    busy(&rig).await;
    let (status, code, headers) = problem(&rig, post_of(picture(0))).await;
    assert_eq!((status, code.as_str()), (503, "overloaded"));
    assert!(headers.contains_key("retry-after"));
    for probe in ["/livez", "/readyz", "/metrics", "/model"] {
        let request = get_at(probe).body(Body::empty()).unwrap();
        assert_eq!(
            send(&rig.router, request).await.0,
            200,
            "{probe} answers under load"
        );
    }
    rig.open.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(send(&rig.router, post_of(picture(0))).await.0, 200);
    assert!(
        rig.app
            .metrics
            .render()
            .unwrap()
            .contains("fer_rejected_total{reason=\"in_flight\"} 1\n")
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_a_504() {
    let rig = rig(&["--request-timeout", "3s"]);
    let (status, code, _) = problem(&rig, post_of(picture(3))).await;
    assert_eq!((status, code.as_str()), (504, "deadline_exceeded"));
    rig.open.send(()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_a_408() {
    let rig = rig(&["--body-timeout", "3s"]);
    let (_client, body) = body::testing::fed();
    let (status, code, headers) = problem(&rig, post_at("/predict").body(body).unwrap()).await;
    assert_eq!((status, code.as_str()), (408, "body_timeout"));
    assert_eq!(headers["connection"], "close");
}

#[tokio::test]
async fn a_client_that_leaves_is_counted() {
    let rig = rig(&[]);
    let request = tokio::spawn(rig.router.clone().oneshot(post_of(picture(3))));
    busy(&rig).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    let text = rig.app.metrics.render().unwrap();
    assert!(text.contains(r#"fer_http_requests_total{method="POST",route="/predict",status="499"} 1"#));
    assert!(text.contains("fer_http_requests_in_flight 0"));
    rig.open.send(()).unwrap();
}

/// `/livez` fails only while a batch hangs, and recovers if the batch returns after all.
#[tokio::test]
async fn a_worker_that_hangs_makes_live_say_no() {
    let live_at = |path: &str| get_at(path).body(Body::empty()).unwrap();
    let live = || live_at("/livez");
    let patient = rig(&[]);
    let rig = rig(&["--wedge-timeout", "1ms"]);
    assert_eq!(send(&rig.router, live()).await.0, 200);
    for rig in [&rig, &patient] {
        let request = tokio::spawn(rig.router.clone().oneshot(post_of(picture(3))));
        busy(rig).await;
        request.abort();
    }
    // For as long as it takes: the engine's time is real.
    while send(&rig.router, live()).await.0 == 200 {
        tokio::task::yield_now().await;
    }
    for path in ["/livez", "/v2/health/live"] {
        let (status, code, headers) = problem(&rig, live_at(path)).await;
        assert_eq!((status, code.as_str()), (503, "wedged"), "{path}");
        assert!(headers.contains_key("retry-after"));
        assert_eq!(
            send(&patient.router, live_at(path)).await.0,
            200,
            "a minute has not passed"
        );
    }
    for rig in [&rig, &patient] {
        rig.open.send(()).unwrap();
    }
    while send(&rig.router, live()).await.0 != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_a_model_only_the_work_is_refused() {
    let rig = rig(&[]);
    rig.app.pipeline.swap_model(None);
    for request in [
        post_of(picture(0)),
        get_at("/readyz").body(Body::empty()).unwrap(),
        get_at("/model").body(Body::empty()).unwrap(),
    ] {
        let (status, code, _) = problem(&rig, request).await;
        assert_eq!((status, code.as_str()), (503, "not_ready"));
    }
    assert_eq!(
        send(&rig.router, get_at("/livez").body(Body::empty()).unwrap())
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn while_draining_work_goes_on_and_readiness_does_not() {
    let rig = rig(&[]);
    rig.app.drain();
    let (status, code, headers) = problem(&rig, get_at("/readyz").body(Body::empty()).unwrap()).await;
    assert_eq!((status, code.as_str()), (503, "draining"));
    assert_eq!(headers["connection"], "close");
    assert_eq!(send(&rig.router, post_of(picture(0))).await.0, 200);
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_ones() {
    let rig = rig(&[]);
    for (method, path, allow) in [
        ("GET", "/predict", "POST"),
        ("POST", "/model", "GET,HEAD"),
        ("BREW", "/livez", "GET,HEAD"),
    ] {
        let request = Request::builder()
            .header("host", "x")
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        let (status, code, headers) = problem(&rig, request).await;
        assert_eq!((status, code.as_str()), (405, "method_not_allowed"));
        assert_eq!(headers["allow"], allow);
    }
    let request = Request::builder()
        .header("host", "x")
        .method("OPTIONS")
        .uri("/predict")
        .body(Body::empty())
        .unwrap();
    let (status, headers, _) = send(&rig.router, request).await;
    assert_eq!(
        (status, &headers["allow"]),
        (204, &axum::http::HeaderValue::from_static("POST"))
    );
}

/// Waits until the engine is at the gate, without blocking the thread of the test.
async fn busy(rig: &Rig) {
    while rig.busy.try_recv().is_err() {
        tokio::task::yield_now().await;
    }
}
