//! The values of labels.

use axum::http::Method;

/// The series of a route that `/metrics` shows from the start.
#[derive(Debug)]
pub(crate) struct RouteSeries {
    pub(crate) route: &'static str,
    pub(crate) method: Method,
    pub(crate) statuses: Vec<u16>,
}

/// The route label of all paths that match no route.
pub(crate) const ROUTE_OTHER: &str = "other";

/// Why a request or an image was refused, for `fer_rejected_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    Unauthorized,
    RateLimit,
    /// `--max-in-flight`.
    InFlight,
    /// `--max-buffered`.
    Buffers,
    QueueFull,
    /// The line for the decoders of large images is too long.
    DecodeLine,
    NotReady,
    /// The deadline passed before the work began.
    Deadline,
    /// The client disconnected before the work began.
    ClientGone,
}

impl Rejected {
    pub(super) const ALL: [Self; 9] = [
        Self::Unauthorized,
        Self::RateLimit,
        Self::InFlight,
        Self::Buffers,
        Self::QueueFull,
        Self::DecodeLine,
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
            Self::DecodeLine => "decode_line",
            Self::NotReady => "not_ready",
            Self::Deadline => "deadline",
            Self::ClientGone => "client_gone",
        }
    }
}

/// The method as a label: one of the usual ones, or `other`.
pub(crate) fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN
        .into_iter()
        .find(|k| *k == method.as_str())
        .unwrap_or("other")
}
