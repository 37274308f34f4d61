//! What operators see: metrics, the log, spans.

pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod otlp;
pub(crate) mod overload_log;
pub(crate) mod traceparent;
