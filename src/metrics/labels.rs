//! The values that labels take.

/// Routes as they stand in labels, with the methods and statuses that occur in ordinary life. Anything else
/// that happens gets its series then; labels stay bounded because routes come from the router, methods
/// from [`method_label`] and statuses from this crate.
pub(super) const SERIES: &[(&str, &[&str], &[&str])] = &[
    (
        "/faces",
        &["POST"],
        &[
            "200", "400", "401", "408", "413", "415", "422", "429", "499", "500", "503", "504",
        ],
    ),
    ("/", &["GET"], &["200"]),
    ("/console/app.js", &["GET"], &["200"]),
    ("/console/camera.js", &["GET"], &["200"]),
    ("/console/faces.js", &["GET"], &["200"]),
    ("/console/pictures.js", &["GET"], &["200"]),
    ("/console/style.css", &["GET"], &["200"]),
    ("/console/icon.svg", &["GET"], &["200"]),
    (
        "/predict",
        &["POST"],
        &[
            "200", "400", "401", "408", "413", "415", "422", "429", "499", "500", "503", "504",
        ],
    ),
    ("/livez", &["GET"], &["200"]),
    ("/readyz", &["GET"], &["200", "503"]),
    ("/healthz", &["GET"], &["200", "503"]),
    ("/metrics", &["GET"], &["200"]),
    ("/model", &["GET"], &["200", "401", "429", "503"]),
    (
        "/admin/reload",
        &["POST"],
        &["200", "401", "403", "422", "429", "503"],
    ),
    ("/openapi.yaml", &["GET"], &["200"]),
    ("/openapi.json", &["GET"], &["200"]),
    ("/docs", &["GET"], &["200"]),
    ("/docs/app.js", &["GET"], &["200"]),
    ("/docs/parts.js", &["GET"], &["200"]),
    ("/docs/try.js", &["GET"], &["200"]),
    ("/docs/style.css", &["GET"], &["200"]),
    ("/v2", &["GET"], &["200", "401", "429"]),
    ("/v2/health/live", &["GET"], &["200"]),
    ("/v2/health/ready", &["GET"], &["200", "503"]),
    (
        "/v2/models/{name}",
        &["GET"],
        &["200", "401", "404", "429", "503"],
    ),
    (
        "/v2/models/{name}/config",
        &["GET"],
        &["200", "401", "404", "429", "503"],
    ),
    (
        "/v2/models/{name}/ready",
        &["GET"],
        &["200", "401", "404", "429", "503"],
    ),
    (
        "/v2/models/{name}/infer",
        &["POST"],
        &[
            "200", "400", "401", "404", "408", "413", "415", "422", "429", "499", "500", "503", "504",
        ],
    ),
    (
        "/v2/models/{name}/versions/{version}",
        &["GET"],
        &["200", "401", "404", "429", "503"],
    ),
    (
        "/v2/models/{name}/versions/{version}/config",
        &["GET"],
        &["200", "401", "404", "429", "503"],
    ),
    (
        "/v2/models/{name}/versions/{version}/ready",
        &["GET"],
        &["200", "401", "404", "429", "503"],
    ),
    (
        "/v2/models/{name}/versions/{version}/infer",
        &["POST"],
        &[
            "200", "400", "401", "404", "408", "413", "415", "422", "429", "499", "500", "503", "504",
        ],
    ),
    (ROUTE_OTHER, &["GET", "POST"], &["404"]),
];

/// The label of every path no route matches.
pub const ROUTE_OTHER: &str = "other";

/// Why work was not done, for `fer_rejected_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// No API key, or an unknown one.
    Unauthorized,
    /// The client sends more than it may.
    RateLimit,
    /// As many requests in flight as are allowed.
    InFlight,
    /// Bodies being held take as much memory as is allowed.
    Buffers,
    /// The batcher's queue is full.
    QueueFull,
    /// No model is ready.
    NotReady,
    /// The deadline passed before the work began.
    Deadline,
    /// The client went away before the work began.
    ClientGone,
}

impl Rejected {
    pub(super) const ALL: [Self; 8] = [
        Self::Unauthorized,
        Self::RateLimit,
        Self::InFlight,
        Self::Buffers,
        Self::QueueFull,
        Self::NotReady,
        Self::Deadline,
        Self::ClientGone,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::RateLimit => "rate_limit",
            Self::InFlight => "in_flight",
            Self::Buffers => "buffers",
            Self::QueueFull => "queue_full",
            Self::NotReady => "not_ready",
            Self::Deadline => "deadline",
            Self::ClientGone => "client_gone",
        }
    }
}

/// The method as a label: one of the usual ones, or `other`.
#[must_use]
pub fn method_label(method: &axum::http::Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN
        .into_iter()
        .find(|k| *k == method.as_str())
        .unwrap_or("other")
}
