//! The outermost layer: request id, log line, metrics, span, and the body of every error.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, Version, header},
    middleware::Next,
    response::Response,
};
use hyper::body::Body as _;

use crate::{
    app::App,
    http::{
        body,
        problem::{MEDIA_TYPE, Problem, ProblemBody},
        request_id::{REQUEST_ID, RequestId},
        routes::{table::is_probe, v2},
        timing::{Timing, millis},
    },
    observability::{
        metrics::{ROUTE_OTHER, method_label},
        otlp::RequestSpan,
        traceparent::TraceParent,
    },
};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// An unread request body is discarded up to this multiple of `--max-body`.
const DISCARD_FACTOR: u64 = 4;
/// A client that disconnected before its answer (nginx's number).
const CLIENT_GONE: u16 = 499;

/// What is known of a request before its answer. If it is dropped before [`Observed::answered`], the client has
/// disconnected and hyper has dropped the handler; that is counted and logged too.
struct Observed {
    app: Arc<App>,
    id: RequestId,
    parent: Option<TraceParent>,
    route: Option<MatchedPath>,
    method: &'static str,
    start: Instant,
    done: bool,
}

impl Observed {
    fn route(&self) -> &str {
        self.route.as_ref().map_or(ROUTE_OTHER, MatchedPath::as_str)
    }

    /// Exports the request's span, if spans are exported. Returns the id of its trace.
    fn trace(
        &self,
        status: Option<u16>,
        took: Duration,
        timing: Option<&Timing>,
        bytes_in: u64,
    ) -> Option<String> {
        let durations = timing.map(|t| {
            [
                ("fer.decode.duration", Some(t.decode)),
                ("fer.detect.duration", t.detect),
                ("fer.queue.duration", Some(t.queue)),
                ("fer.infer.duration", Some(t.infer)),
            ]
        });
        let counts = timing.map(|t| [("fer.batch_size", t.batch), ("fer.images", t.images)]);
        self.app.traces.export(&RequestSpan {
            parent: self.parent.as_ref(),
            method: self.method,
            route: self.route(),
            status,
            took,
            durations: durations.as_ref().map_or(&[][..], |d| d),
            counts: counts.as_ref().map_or(&[][..], |c| c),
            bytes_in,
            request_id: self.id.as_str(),
        })
    }

    fn finish(&mut self, status: &str) -> Duration {
        self.done = true;
        let took = self.start.elapsed();
        self.app.metrics.in_flight.dec();
        self.app
            .metrics
            .answered(self.route(), self.method, status, took.as_secs_f64());
        took
    }

    fn answered(&mut self, response: &Response, bytes_in: u64, problem: Option<&Problem>) {
        let status = response.status();
        let took = self.finish(status.as_str());
        let bytes_out = response.body().size_hint().exact();
        let timing = response.extensions().get::<Timing>();
        let probe = is_probe(self.route());
        let inside = problem.and_then(|p| p.inside.as_deref());
        let overloaded = problem.is_some_and(|p| p.code == "overloaded");
        // Probes and scrapes would outnumber the spans of clients.
        let trace = if probe {
            None
        } else {
            self.trace(Some(status.as_u16()), took, timing, bytes_in)
        };
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id = self.id.as_str(),
                    trace_id = trace,
                    method = self.method,
                    route = self.route(),
                    status = status.as_u16(),
                    bytes_in,
                    bytes_out,
                    duration_ms = millis(took),
                    decode_ms = timing.map(|t| millis(t.decode)),
                    detect_ms = timing.and_then(|t| t.detect).map(millis),
                    queue_ms = timing.map(|t| millis(t.queue)),
                    infer_ms = timing.map(|t| millis(t.infer)),
                    batch = timing.map(|t| t.batch),
                    images = timing.map(|t| t.images),
                    error = inside,
                    "request"
                )
            };
        }
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            line!(error);
        } else if probe {
            // Orchestrators probe every few seconds, and 503 is one of the expected answers.
            line!(debug);
        } else if overloaded {
            line!(debug);
            if let Some(refused) = self.app.overload_log.count(Instant::now()) {
                tracing::warn!(refused, "too much work is in flight: requests are refused");
            }
        } else if status.is_server_error() {
            line!(warn);
        } else {
            line!(info);
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if !self.done {
            let took = self.finish("499");
            let trace = self.trace(None, took, None, 0);
            tracing::info!(
                request_id = self.id.as_str(),
                trace_id = trace,
                method = self.method,
                route = self.route(),
                status = CLIENT_GONE,
                duration_ms = millis(took),
                "request"
            );
        }
    }
}

pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    app.metrics.in_flight.inc();
    let mut observed = Observed {
        id: RequestId::of(request.headers()),
        parent: TraceParent::of(request.headers()),
        route: request.extensions().get::<MatchedPath>().cloned(),
        method: method_label(request.method()),
        start: Instant::now(),
        done: false,
        app: Arc::clone(&app),
    };
    let expects_continue = expects_continue(&request);
    let v2 = v2::is_under(request.uri().path());
    let http1 = request.version() <= Version::HTTP_11;
    let (mut parts, body) = request.into_parts();
    let (body, unread) = body::watch(body);
    parts.extensions.insert(observed.id.clone());

    let mut response = next.run(Request::from_parts(parts, body)).await;

    let bytes_in = unread.received();
    let problem = take_problem(&mut response);
    if let Some(problem) = &problem {
        let body = problem.body(Some(observed.id.as_str()));
        write_problem(&mut response, problem, &if v2 { body.with_error() } else { body });
    }
    // The answer does not wait for the discarded body. HTTP/2 can end a single stream, and a body that has timed out
    // already gets no more time.
    let limit = app.config.max_body.saturating_mul(DISCARD_FACTOR);
    let must_close = http1
        && response.status() != StatusCode::REQUEST_TIMEOUT
        && !unread.discard(expects_continue, limit, app.config.body_timeout);
    if let Some(value) = response.extensions().get::<Timing>().and_then(Timing::header) {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
    if must_close || (http1 && app.draining()) {
        // Tells clients and proxies to use another connection before this one is closed.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
        .headers_mut()
        .insert(REQUEST_ID, observed.id.header().clone());
    observed.answered(&response, bytes_in, problem.as_ref());
    response
}

/// Whether the client waits for `100 Continue` before it sends the body (hyper supports no other expectation).
fn expects_continue(request: &Request) -> bool {
    let expected = request.headers().get(header::EXPECT);
    request.version() > Version::HTTP_10
        && expected.is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The problem that a handler returned, or one for the error status of a layer.
fn take_problem(response: &mut Response) -> Option<Problem> {
    let status = response.status();
    response.extensions_mut().remove::<Problem>().or_else(|| {
        (status.is_client_error() || status.is_server_error()).then(|| Problem::for_status(status))
    })
}

fn write_problem(response: &mut Response, problem: &Problem, body: &ProblemBody<'_>) {
    // Serialising strings and a number into memory cannot fail; an empty object would still be valid JSON.
    let body = serde_json::to_vec(body).unwrap_or_else(|_| b"{}".to_vec());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.remove(header::CONTENT_ENCODING);
    problem.extend_headers(headers);
    *response.body_mut() = Body::from(body);
}
