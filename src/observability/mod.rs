//! What operators see: metrics, the log, spans.

pub mod log;
pub(crate) mod metrics;
pub(crate) mod otlp;
pub(crate) mod overload_log;
