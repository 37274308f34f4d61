//! A span for each request, sent over OTLP/HTTP (protobuf) to an OpenTelemetry collector: the feature `otlp`.
//!
//! A span is built when its request ends, from the same data as the log line, so handlers carry no context. Its parent is
//! the caller's span (W3C Trace Context). A thread of its own sends the spans in batches; a slow or missing collector costs
//! spans, not requests.

use std::time::{Duration, SystemTime};

use super::traceparent::TraceParent;

#[derive(Debug)]
#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
pub(crate) struct RequestSpan<'a> {
    pub(crate) parent: Option<&'a TraceParent>,
    pub(crate) method: &'static str,
    pub(crate) route: &'a str,
    /// None if the client disconnected before its answer.
    pub(crate) status: Option<u16>,
    /// From the request's head until now.
    pub(crate) took: Duration,
    /// Attributes in seconds.
    pub(crate) durations: &'a [(&'static str, Option<Duration>)],
    /// Attributes that are numbers.
    pub(crate) counts: &'a [(&'static str, usize)],
    pub(crate) bytes_in: u64,
    pub(crate) request_id: &'a str,
}

#[derive(Debug, Default)]
pub(crate) struct Traces(Option<exporter::Exporter>);

impl Traces {
    /// Exports spans to the collector at `endpoint` (`http://host:4318`, or with the path of its traces). The error is a
    /// sentence: this build has no OTLP, or the exporter cannot be set up.
    pub(crate) fn start(endpoint: Option<&str>) -> Result<Self, String> {
        let Some(endpoint) = endpoint else {
            return Ok(Self::default());
        };
        exporter::Exporter::start(endpoint).map(|e| Self(Some(e)))
    }

    /// Exports the span of a request, if it is sampled. Returns the id of its trace, if it has one.
    #[allow(clippy::disallowed_methods)] // spans carry wall-clock times
    pub(crate) fn export(&self, request: &RequestSpan<'_>) -> Option<String> {
        match &self.0 {
            Some(exporter) => Some(exporter.export(request, SystemTime::now())),
            None => request.parent.map(|p| p.trace_id.clone()),
        }
    }

    /// Sends the spans that are left; later spans are lost. Blocks.
    pub(crate) fn shutdown(&self) {
        if let Some(exporter) = &self.0 {
            exporter.shutdown();
        }
    }
}

#[cfg(not(feature = "otlp"))]
mod exporter {
    use std::{convert::Infallible, time::SystemTime};

    #[derive(Debug)]
    pub(super) struct Exporter(Infallible);

    impl Exporter {
        pub(super) fn start(_endpoint: &str) -> Result<Self, String> {
            Err("--otlp-endpoint: this build has no OTLP; build it with `cargo build --release --features otlp`".to_owned())
        }

        pub(super) fn export(&self, _request: &super::RequestSpan<'_>, _now: SystemTime) -> String {
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

    use super::{RequestSpan, TraceParent};

    /// The path of a collector's traces, unless the endpoint names one (OTLP 1.0).
    const PATH: &str = "v1/traces";
    /// Time limit for sending a batch, and for sending the last one at the end of the program.
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
                .with_endpoint(with_path(endpoint))
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

        pub(super) fn export(&self, request: &RequestSpan<'_>, now: SystemTime) -> String {
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

    fn with_path(endpoint: &str) -> String {
        let path = endpoint
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'));
        match path {
            Some((_, path)) if !path.is_empty() => endpoint.to_owned(),
            _ => format!("{}/{PATH}", endpoint.trim_end_matches('/')),
        }
    }

    fn remote(parent: &TraceParent) -> SpanContext {
        // The header was validated: both are hexadecimal and not zero.
        let trace = TraceId::from_hex(&parent.trace_id).unwrap_or(TraceId::INVALID);
        let span = SpanId::from_hex(&parent.span_id).unwrap_or(SpanId::INVALID);
        let flags = TraceFlags::default().with_sampled(parent.sampled);
        SpanContext::new(trace, span, flags, true, TraceState::default())
    }

    /// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>, and this service's own under `fer.`.
    fn attributes(request: &RequestSpan<'_>) -> Vec<KeyValue> {
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
        for (name, duration) in request.durations {
            all.extend(duration.map(|d| KeyValue::new(*name, d.as_secs_f64())));
        }
        for (name, count) in request.counts {
            all.push(KeyValue::new(*name, i64::try_from(*count).unwrap_or(i64::MAX)));
        }
        all
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_endpoint_without_a_path_gets_the_default_one() {
            for (given, expected) in [
                ("http://a:4318", "http://a:4318/v1/traces"),
                ("http://a:4318/", "http://a:4318/v1/traces"),
                ("http://a/otlp/v1/traces", "http://a/otlp/v1/traces"),
            ] {
                assert_eq!(with_path(given), expected);
            }
        }
    }
}
