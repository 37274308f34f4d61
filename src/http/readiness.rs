//! Whether the server is live, and whether it is ready: for the probes of every protocol.

use super::problem::Problem;
use crate::app::App;

/// Live while the process answers, under any load, with or without a model. No longer live once a worker has been inside
/// its engine, or a thread with one image, for longer than `--wedge-timeout`: only a restart helps then.
pub(crate) fn live(app: &App) -> Result<(), Problem> {
    let inside = app.pipeline.longest_in_engine();
    if inside > app.config.wedge_timeout {
        let text = format!("a worker has been inside its engine for {inside:?}");
        return Err(Problem::wedged().inside(text));
    }
    let decoding = app.pipeline.longest_in_decoder();
    if decoding > app.config.wedge_timeout {
        let text = format!("a thread has waited for its decoder for {decoding:?}");
        return Err(Problem::wedged().inside(text));
    }
    Ok(())
}

/// Ready once a model has warmed up, while at least one of its workers has an engine, and until the drain begins.
pub(crate) fn ready(app: &App) -> Result<(), Problem> {
    if app.draining() {
        return Err(Problem::draining());
    }
    app.pipeline
        .ready_model()
        .map(|_| ())
        .ok_or_else(Problem::not_ready)
}
