//! The log: structured, on standard error, as text or as JSON.

use std::io::stderr;

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogArgs, LogFormat};

/// Installs the log for the whole process. A second call changes nothing.
pub(crate) fn init(args: &LogArgs) {
    // The filter was validated when the flags were parsed.
    let filter = EnvFilter::try_new(&args.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // A log that cannot be written (full disk, closed pipe) must not stop the server. The library would report it on
    // standard error, and a failed write there panics.
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .log_internal_errors(false);
    let _ = match args.log_format {
        LogFormat::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&stderr());
            builder.with_ansi(ansi).with_target(false).try_init()
        }
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
    };
    // The default hook would print panics outside the log.
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("a panic without a message");
        let thread = std::thread::current();
        tracing::error!(
            error = text,
            at,
            thread = thread.name().unwrap_or_default(),
            "panic"
        );
    }));
}
