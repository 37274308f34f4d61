//! The outermost layer: request ids, the log line, metrics, and the body of every error.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    middleware::Next,
    response::Response,
};
use hyper::body::Body as _;

use super::{
    App, TraceParent, body,
    health::is_probe,
    problem::{MEDIA_TYPE, Problem, ProblemBody},
    routes::v2,
    timing::{Timing, millis},
};
use crate::{
    metrics::{ROUTE_OTHER, method_label},
    traces::Ended,
};

/// Header of the request id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Longest request id that is taken over, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// A refused body is taken in up to that many times `--max-body`.
const DISCARD_FACTOR: u64 = 4;
/// A client that left before its answer (as nginx counts it).
const CLIENT_GONE: &str = "499";

/// The request's id: the client's own if it is 1–128 visible ASCII characters, else a UUID v7.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id that the request brings, or a new one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        headers
            .get(REQUEST_ID)
            .filter(|v| {
                (1..=REQUEST_ID_MAX).contains(&v.len()) && v.as_bytes().iter().all(u8::is_ascii_graphic)
            })
            .map_or_else(
                || {
                    let mut buffer = uuid::Uuid::encode_buffer();
                    let id: &str = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
                    // Hexadecimal digits and hyphens are always a header value.
                    Self(HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("-")))
                },
                |v| Self(v.clone()),
            )
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// What is known of a request before its answer. Dropped without [`Observed::answered`], the client went
/// away and hyper gave up the handler: that is counted and logged, too.
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

    /// The id of the request's trace, its span being sent where spans are.
    fn trace(
        &self,
        status: Option<u16>,
        took: Duration,
        timing: Option<&Timing>,
        bytes_in: u64,
    ) -> Option<String> {
        self.app.traces.ended(&Ended {
            parent: self.parent.as_ref(),
            method: self.method,
            route: self.route(),
            status,
            took,
            timing,
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
        let overloaded = problem.is_some_and(Problem::is_overload);
        // Probes and scrapes would drown what callers ask for.
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
            // Every few seconds from every orchestrator, and 503 is an answer like another.
            line!(debug);
        } else if overloaded {
            line!(debug);
            if let Some(refused) = self.app.refusals.one_more(Instant::now()) {
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
            let took = self.finish(CLIENT_GONE);
            let trace = self.trace(None, took, None, 0);
            tracing::info!(
                request_id = self.id.as_str(),
                trace_id = trace,
                method = self.method,
                route = self.route(),
                status = 499u16,
                duration_ms = millis(took),
                "request"
            );
        }
    }
}

/// The layer.
pub async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
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
    let (body, rest) = body::watch(body);
    parts.extensions.insert(observed.id.clone());

    let mut response = next.run(Request::from_parts(parts, body)).await;

    let bytes_in = rest.received();
    let problem = take_problem(&mut response);
    if let Some(problem) = &problem {
        let body = problem.body(Some(observed.id.as_str()));
        write_problem(&mut response, problem, &if v2 { body.with_error() } else { body });
    }
    // The answer does not wait for it. On HTTP/2 a stream ends by itself, and a body that is late already is not waited
    // for again.
    let limit = app.config.max_body.saturating_mul(DISCARD_FACTOR);
    let over = http1
        && response.status() != StatusCode::REQUEST_TIMEOUT
        && !rest.discard(expects_continue, limit, app.config.body_timeout);
    if let Some(value) = response.extensions().get::<Timing>().and_then(Timing::header) {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
    if over || (http1 && app.draining()) {
        // Lets clients and proxies move on before the connection is closed under them.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.headers_mut().insert(REQUEST_ID, observed.id.0.clone());
    observed.answered(&response, bytes_in, problem.as_ref());
    response
}

/// Whether the client waits for `100 Continue` before it sends the body (hyper answers no other expectation).
fn expects_continue(request: &Request) -> bool {
    let expected = request.headers().get(header::EXPECT);
    request.version() > Version::HTTP_10
        && expected.is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The problem a handler raised, or one for an error that came from a layer.
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

#[cfg(test)]
mod tests;
