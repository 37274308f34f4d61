//! A span for each request, sent over OTLP/HTTP (protobuf) to an OpenTelemetry collector: the feature `otlp`.
//!
//! The span is made when its request ends, from what the log line is made of, so that nothing is carried through the
//! handlers. Its parent is the caller's `traceparent` (W3C Trace Context). Spans leave in batches from a thread of their own;
//! a collector that is slow or gone costs spans, no requests.

use std::time::{Duration, SystemTime};

use crate::http::{Timing, TraceParent};

/// A request that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// What its caller sent.
    pub parent: Option<&'a TraceParent>,
    /// The method as metrics name it.
    pub method: &'static str,
    /// The route as metrics name it.
    pub route: &'a str,
    /// The status; none if the client went away before there was one.
    pub status: Option<u16>,
    /// How long it took, until now.
    pub took: Duration,
    /// Where the time went.
    pub timing: Option<&'a Timing>,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Its id.
    pub request_id: &'a str,
}

/// Where spans go.
#[derive(Debug, Default)]
pub struct Traces(Option<exporter::Exporter>);

impl Traces {
    /// Spans to the collector there (`http://host:4318`, or with the path that takes them); none without an endpoint.
    ///
    /// # Errors
    /// A sentence: this build has no OTLP, or its exporter cannot be set up.
    pub fn start(endpoint: Option<&str>) -> Result<Self, String> {
        let Some(endpoint) = endpoint else {
            return Ok(Self::default());
        };
        exporter::Exporter::start(endpoint).map(|e| Self(Some(e)))
    }

    /// Sends the span of a request, if it is sampled; the id of its trace, whoever began it.
    #[must_use]
    #[allow(clippy::disallowed_methods)] // a span bears dates
    pub fn ended(&self, request: &Ended<'_>) -> Option<String> {
        match &self.0 {
            Some(exporter) => Some(exporter.ended(request, SystemTime::now())),
            None => request.parent.map(|p| p.trace_id().to_owned()),
        }
    }

    /// Sends what is left; later spans are lost.
    pub fn shutdown(&self) {
        if let Some(exporter) = &self.0 {
            exporter.shutdown();
        }
    }
}

#[cfg(not(feature = "otlp"))]
mod exporter {
    use std::{convert::Infallible, time::SystemTime};

    /// There is none in this build.
    #[derive(Debug)]
    pub(super) struct Exporter(Infallible);

    impl Exporter {
        pub(super) fn start(_endpoint: &str) -> Result<Self, String> {
            Err("--otlp-endpoint: this build has no OTLP; build it with `cargo build --release --features otlp`".to_owned())
        }

        pub(super) fn ended(&self, _request: &super::Ended<'_>, _now: SystemTime) -> String {
            match self.0 {}
        }

        pub(super) fn shutdown(&self) {
            match self.0 {}
        }
    }
}

#[cfg(feature = "otlp")]
mod exporter {
    use std::{
        borrow::Cow,
        time::{Duration, SystemTime},
    };

    use opentelemetry::{
        Context, KeyValue,
        trace::{
            Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags,
            TraceId, TraceState, TracerProvider as _,
        },
    };
    use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
    use opentelemetry_sdk::{
        Resource,
        trace::{SdkTracer, SdkTracerProvider},
    };

    use super::Ended;
    use crate::http::TraceParent;

    /// Where a collector takes spans, unless the endpoint names a path of its own (OTLP 1.0).
    const PATH: &str = "v1/traces";
    /// How long sending may take, and how long the end of the program waits for it.
    const TIMEOUT: Duration = Duration::from_secs(5);

    #[derive(Debug)]
    pub(super) struct Exporter {
        provider: SdkTracerProvider,
        tracer: SdkTracer,
    }

    impl Exporter {
        pub(super) fn start(endpoint: &str) -> Result<Self, String> {
            let exporter = SpanExporter::builder()
                .with_http()
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(whole(endpoint))
                .with_timeout(TIMEOUT)
                .build()
                .map_err(|e| format!("--otlp-endpoint: {e}"))?;
            let mut resource = Resource::builder()
                .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
            if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
                resource = resource.with_service_name("fer-serve");
            }
            let provider = SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource.build())
                .build();
            let tracer = provider.tracer("fer-serve");
            Ok(Self { provider, tracer })
        }

        pub(super) fn ended(&self, request: &Ended<'_>, now: SystemTime) -> String {
            let start = now.checked_sub(request.took).unwrap_or(now);
            let parent = request.parent.map_or_else(Context::new, |p| {
                Context::new().with_remote_span_context(remote(p))
            });
            let mut span = SpanBuilder::from_name(format!("{} {}", request.method, request.route))
                .with_kind(SpanKind::Server)
                .with_start_time(start)
                .with_attributes(attributes(request))
                .start_with_context(&self.tracer, &parent);
            // Only the server's own errors: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
            if request.status.is_some_and(|s| s >= 500) {
                span.set_status(Status::Error {
                    description: Cow::Borrowed(""),
                });
            }
            span.end_with_timestamp(now);
            span.span_context().trace_id().to_string()
        }

        pub(super) fn shutdown(&self) {
            if let Err(error) = self.provider.shutdown_with_timeout(TIMEOUT) {
                tracing::warn!(%error, "the last spans could not be sent");
            }
        }
    }

    fn whole(endpoint: &str) -> String {
        let path = endpoint
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'));
        match path {
            Some((_, path)) if !path.is_empty() => endpoint.to_owned(),
            _ => format!("{}/{PATH}", endpoint.trim_end_matches('/')),
        }
    }

    fn remote(parent: &TraceParent) -> SpanContext {
        // The header was checked: both are hexadecimal and not zero.
        let trace = TraceId::from_hex(parent.trace_id()).unwrap_or(TraceId::INVALID);
        let span = SpanId::from_hex(parent.parent_id()).unwrap_or(SpanId::INVALID);
        let flags = TraceFlags::default().with_sampled(parent.sampled());
        SpanContext::new(trace, span, flags, true, TraceState::default())
    }

    /// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>, and the service's own under `fer.`.
    fn attributes(request: &Ended<'_>) -> Vec<KeyValue> {
        let mut all = vec![
            KeyValue::new("http.request.method", request.method),
            KeyValue::new("http.route", request.route.to_owned()),
            KeyValue::new(
                "http.request.body.size",
                i64::try_from(request.bytes_in).unwrap_or(i64::MAX),
            ),
            KeyValue::new("fer.request_id", request.request_id.to_owned()),
        ];
        match request.status {
            Some(status) => all.push(KeyValue::new("http.response.status_code", i64::from(status))),
            None => all.push(KeyValue::new("error.type", "client_gone")),
        }
        if let Some(timing) = request.timing {
            let seconds = |name, d: Duration| KeyValue::new(name, d.as_secs_f64());
            all.extend([
                seconds("fer.decode.duration", timing.decode),
                seconds("fer.queue.duration", timing.queue),
                seconds("fer.infer.duration", timing.infer),
                KeyValue::new("fer.batch_size", i64::try_from(timing.batch).unwrap_or(i64::MAX)),
                KeyValue::new("fer.images", i64::try_from(timing.images).unwrap_or(i64::MAX)),
            ]);
            all.extend(timing.detect.map(|d| seconds("fer.detect.duration", d)));
        }
        all
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_endpoint_without_a_path_has_the_usual_one() {
            for (given, whole_one) in [
                ("http://a:4318", "http://a:4318/v1/traces"),
                ("http://a:4318/", "http://a:4318/v1/traces"),
                ("http://a/otlp/v1/traces", "http://a/otlp/v1/traces"),
            ] {
                assert_eq!(whole(given), whole_one);
            }
        }
    }
}
