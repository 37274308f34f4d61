//! All metrics: name, help, labels and buckets. Their series exist from the start, so that the rate of a rare event starts
//! at 0 and not at its first occurrence.

mod labels;

use fer_engine::{
    EngineInfo, Manifest,
    emotion::{CLASSES, Emotion},
};
use fer_image::helper::Ended;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector, process_collector::ProcessCollector,
};

pub(crate) use labels::{ROUTE_OTHER, Rejected, RouteSeries, method_label};

/// Seconds, 100 µs to 10 s: about three steps a decade.
const SECONDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const BATCH: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    pub(crate) in_flight: IntGauge,
    pub(crate) in_flight_limit: IntGauge,
    pub(crate) decode: Histogram,
    detect: Histogram,
    faces: IntCounter,
    pub(crate) queue: Histogram,
    pub(crate) inference: Histogram,
    pub(crate) queue_depth: IntGauge,
    pub(crate) batch_size: Histogram,
    pub(crate) engine_failures: IntCounterVec,
    decoder_restarts: IntCounterVec,
    rejected: IntCounterVec,
    predictions: [IntCounter; CLASSES],
    model_info: IntGaugeVec,
    reloads: IntCounterVec,
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    /// All metrics in a registry of their own, with the series of these routes. Fails only if two metrics have the same
    /// name.
    pub(crate) fn new(routes: impl IntoIterator<Item = RouteSeries>) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help));
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let seconds = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        let histogram = |opts: HistogramOpts| register(&registry, Histogram::with_opts(opts));

        let requests = counters(
            "fer_http_requests_total",
            "Requests answered, by matched route, method and status; 499 is a client that disconnected before its answer.",
            &["route", "method", "status"],
        )?;
        let durations = seconds(
            "fer_http_request_duration_seconds",
            "Time from a request's head to its answer's head, by matched route.",
        );
        let request_duration = register(&registry, HistogramVec::new(durations, &["route"]))?;
        for RouteSeries {
            route,
            method,
            statuses,
        } in routes
        {
            request_duration.get_metric_with_label_values(&[route])?;
            for status in statuses {
                let labels = [route, method_label(&method), &status.to_string()];
                requests.get_metric_with_label_values(&labels)?;
            }
        }

        let rejected = counters(
            "fer_rejected_total",
            "Requests refused, and images dropped before their work began, by reason.",
            &["reason"],
        )?;
        for reason in Rejected::ALL {
            rejected.get_metric_with_label_values(&[reason.label()])?;
        }
        let engine_failures = counters(
            "fer_engine_failures_total",
            "Batches the engine failed on, by kind: it returned an error, it panicked, or it could not be rebuilt.",
            &["kind"],
        )?;
        for kind in ["error", "panic", "rebuild"] {
            engine_failures.get_metric_with_label_values(&[kind])?;
        }
        let decoder_restarts = counters(
            "fer_decoder_restarts_total",
            "Decoders that were ended at an image and replaced, by reason: it took too much processor time or memory, its deadline passed, or the decoder crashed.",
            &["reason"],
        )?;
        for reason in Ended::LABELS {
            decoder_restarts.get_metric_with_label_values(&[reason])?;
        }
        let by_emotion = counters(
            "fer_predictions_total",
            "Faces classified, by likeliest label.",
            &["emotion"],
        )?;
        let reloads = counters(
            "fer_model_reloads_total",
            "Attempts to load another model folder.",
            &["result"],
        )?;
        for result in ["success", "failure"] {
            reloads.get_metric_with_label_values(&[result])?;
        }
        let build_info = gauges(
            "fer_build_info",
            "1; the labels say what is running.",
            &["version", "cuda"],
        )?;
        let cuda = fer_engine::cuda_linked().to_string();
        build_info
            .get_metric_with_label_values(&[env!("CARGO_PKG_VERSION"), &cuda])?
            .set(1);
        registry.register(Box::new(ProcessCollector::for_self()))?;

        Ok(Self {
            in_flight: gauge(
                "fer_http_requests_in_flight",
                "Requests whose answer's head is not sent yet.",
            )?,
            in_flight_limit: gauge(
                "fer_http_requests_in_flight_limit",
                "Requests with work that may be in flight; more are refused.",
            )?,
            decode: histogram(seconds("fer_decode_duration_seconds", "Decoding of one image."))?,
            detect: histogram(seconds(
                "fer_detect_duration_seconds",
                "Finding the faces in one decoded photo and cutting them out.",
            ))?,
            faces: register(
                &registry,
                IntCounter::new("fer_faces_total", "Faces found in photos."),
            )?,
            queue: histogram(seconds(
                "fer_queue_duration_seconds",
                "Wait of one face for a worker.",
            ))?,
            inference: histogram(seconds(
                "fer_inference_duration_seconds",
                "One batch through the network.",
            ))?,
            queue_depth: gauge("fer_queue_depth", "Faces waiting for a worker.")?,
            batch_size: histogram(
                HistogramOpts::new("fer_batch_size", "Faces in a batch.").buckets(BATCH.to_vec()),
            )?,
            model_info: gauges(
                "fer_model_info",
                "1; the labels say which model is in service and how it is run.",
                &["name", "version", "engine", "precision", "device"],
            )?,
            predictions: Emotion::ALL.map(|e| by_emotion.with_label_values(&[e.name()])),
            requests,
            request_duration,
            engine_failures,
            decoder_restarts,
            rejected,
            reloads,
            registry,
        })
    }

    /// Counts one answered request; `seconds` is the time from the request's head to the answer's head.
    pub(crate) fn answered(&self, route: &str, method: &str, status: &str, seconds: f64) {
        self.requests.with_label_values(&[route, method, status]).inc();
        self.request_duration.with_label_values(&[route]).observe(seconds);
    }

    pub(crate) fn reject(&self, reason: Rejected) {
        self.rejected.with_label_values(&[reason.label()]).inc();
    }

    pub(crate) fn decoder_replaced(&self, ended: &Ended) {
        self.decoder_restarts.with_label_values(&[ended.label()]).inc();
    }

    pub(crate) fn predicted(&self, emotion: Emotion) {
        if let Some(counter) = self.predictions.get(emotion.index()) {
            counter.inc();
        }
    }

    /// Counts a photo that the detector has searched, and the faces in it.
    pub(crate) fn detected(&self, faces: usize, seconds: f64) {
        self.detect.observe(seconds);
        self.faces.inc_by(faces as u64);
    }

    pub(crate) fn reloaded(&self, success: bool) {
        let result = if success { "success" } else { "failure" };
        self.reloads.with_label_values(&[result]).inc();
    }

    /// Sets the one model that `fer_model_info` names.
    pub(crate) fn set_model(&self, manifest: &Manifest, info: &EngineInfo) {
        self.model_info.reset();
        self.model_info
            .with_label_values(&[
                &manifest.name,
                &manifest.version,
                info.engine,
                info.precision,
                &info.device,
            ])
            .set(1);
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    pub(crate) fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;

    fn routes() -> [RouteSeries; 1] {
        [RouteSeries {
            route: "/predict",
            method: Method::POST,
            statuses: vec![503],
        }]
    }

    #[test]
    fn every_series_is_there_from_the_start() {
        let text = Metrics::new(routes()).unwrap().render().unwrap();
        for series in [
            r#"fer_http_requests_total{method="POST",route="/predict",status="503"} 0"#,
            r#"fer_http_request_duration_seconds_count{route="/predict"} 0"#,
            r#"fer_http_request_duration_seconds_bucket{route="/predict",le="0.0001"} 0"#,
            "fer_http_requests_in_flight 0",
            "fer_decode_duration_seconds_count 0",
            "fer_detect_duration_seconds_count 0",
            "fer_faces_total 0",
            "fer_queue_duration_seconds_count 0",
            "fer_inference_duration_seconds_count 0",
            "fer_queue_depth 0",
            "fer_batch_size_count 0",
            r#"fer_decoder_restarts_total{reason="time"} 0"#,
            r#"fer_rejected_total{reason="client_gone"} 0"#,
            r#"fer_predictions_total{emotion="neutral"} 0"#,
            r#"fer_model_reloads_total{result="failure"} 0"#,
            "fer_build_info{",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(series), "{series} is missing in\n{text}");
        }
    }

    #[test]
    fn unusual_methods_share_a_label() {
        assert_eq!(method_label(&Method::POST), "POST");
        assert_eq!(method_label(&Method::from_bytes(b"BREW").unwrap()), "other");
        assert_eq!(method_label(&Method::TRACE), "other");
    }

    #[test]
    fn only_one_model_is_named_at_a_time() {
        let metrics = Metrics::new([]).unwrap();
        let info = EngineInfo {
            engine: "torchscript",
            precision: "f32",
            device: "cpu".to_owned(),
        };
        for version in ["1", "2"] {
            let manifest = serde_json::from_value(serde_json::json!({
                "name": "m", "version": version, "labels": [], "files": {},
                "input": {"width": 48, "height": 48, "channels": 1, "scale": 1.0, "mean": 0.0, "std": 1.0},
            }))
            .unwrap();
            metrics.set_model(&manifest, &info);
        }
        let text = metrics.render().unwrap();
        assert_eq!(text.matches("\nfer_model_info{").count(), 1);
        assert!(text.contains(r#"version="2""#));
    }
}
