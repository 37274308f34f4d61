//! Spans, as an OpenTelemetry collector receives them.

use std::collections::BTreeMap;

use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use reqwest::Method;
use tokio::{net::TcpListener, sync::mpsc};

use fer_serve::server::Control;

use crate::support::{Server, model, pictures};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

type Export = (HeaderMap, ExportTraceServiceRequest);

/// A collector on loopback: its address, and what it receives.
async fn collector() -> (String, mpsc::UnboundedReceiver<Export>) {
    let (tell, exports) = mpsc::unbounded_channel();
    let take = move |headers: HeaderMap, body: Bytes| async move {
        let export = ExportTraceServiceRequest::decode(body).unwrap();
        tell.send((headers, export)).unwrap();
        ([("content-type", "application/x-protobuf")], Bytes::new())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, exports)
}

async fn start(endpoint: &str) -> Server {
    let folder = model::tiny();
    Server::start(
        folder.path(),
        &["--otlp-endpoint", endpoint, "--drain-delay", "0s"],
    )
    .await
}

async fn stop(server: Server) {
    server.control(Control::Stop).await;
    server.ended().await.unwrap();
}

fn values(attributes: &[KeyValue]) -> BTreeMap<String, Value> {
    let value = |a: &KeyValue| a.value.clone().unwrap().value.unwrap();
    attributes.iter().map(|a| (a.key.clone(), value(a))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test]
async fn each_request_but_probes_is_a_span_under_its_callers() {
    let (endpoint, mut exports) = collector().await;
    let server = start(&endpoint).await;
    let header = format!("00-{TRACE}-{PARENT}-01");
    let request = server
        .request(Method::POST, "/predict")
        .header("content-type", "image/png")
        .header("traceparent", &header)
        .header("x-request-id", "the-good-one")
        .body(pictures::face_png(0.3));
    assert_eq!(server.send(request).await.status, 200);
    assert_eq!(server.predict("image/png", "no picture").await.status, 415);
    server.get("/readyz").await;
    server.get("/v2/models/tiny/ready").await.ok();
    // The end of the server sends what is left.
    stop(server).await;

    let mut spans: Vec<Span> = Vec::new();
    while let Ok((headers, export)) = exports.try_recv() {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        for resource in export.resource_spans {
            let of = values(&resource.resource.unwrap().attributes);
            assert_eq!(of["service.name"], Value::StringValue("fer-serve".to_owned()));
            spans.extend(resource.scope_spans.into_iter().flat_map(|s| s.spans));
        }
    }
    let names: Vec<_> = spans.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["POST /predict"; 2], "probes are left out");
    let (good, bad) = (&spans[0], &spans[1]);
    assert_eq!(
        (hex(&good.trace_id), hex(&good.parent_span_id)),
        (TRACE.to_owned(), PARENT.to_owned())
    );
    assert_eq!(good.kind, SpanKind::Server as i32);
    assert!(good.end_time_unix_nano > good.start_time_unix_nano);
    let of = values(&good.attributes);
    assert_eq!(of["http.response.status_code"], Value::IntValue(200));
    assert_eq!(of["http.route"], Value::StringValue("/predict".to_owned()));
    assert_eq!(
        of["fer.request_id"],
        Value::StringValue("the-good-one".to_owned())
    );
    let took = (good.end_time_unix_nano - good.start_time_unix_nano) as f64 / 1e9;
    for part in ["fer.decode.duration", "fer.queue.duration", "fer.infer.duration"] {
        let Value::DoubleValue(seconds) = of[part] else {
            panic!("{part}: {:?}", of[part])
        };
        assert!((0.0..=took).contains(&seconds), "{part} {seconds} of {took}");
    }
    // A trace of its own, and no error of the server's.
    assert!(bad.parent_span_id.is_empty() && hex(&bad.trace_id) != TRACE);
    assert!(bad.status.as_ref().is_none_or(|s| s.code() == StatusCode::Unset));
    assert_eq!(
        values(&bad.attributes)["http.response.status_code"],
        Value::IntValue(415)
    );
}

#[tokio::test]
async fn a_caller_that_does_not_sample_gets_no_span() {
    let (endpoint, mut exports) = collector().await;
    let server = start(&endpoint).await;
    let request = server
        .request(Method::GET, "/model")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-00"));
    assert_eq!(server.send(request).await.status, 200);
    stop(server).await;
    assert!(exports.try_recv().is_err());
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_no_request() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let server = start(&endpoint).await;
    assert_eq!(server.get("/model").await.status, 200);
    stop(server).await;
}
