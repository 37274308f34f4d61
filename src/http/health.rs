//! Probes and metrics. None of them waits for work: they answer under any load.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{App, problem::Problem};

/// Live as long as the process answers at all, under any load and with or without a model; no longer once a worker
/// has been inside its engine for longer than `--wedge-timeout`: nothing but a new process helps then.
///
/// # Errors
/// [`Problem::wedged`].
pub fn live(app: &App) -> Result<(), Problem> {
    let inside = app.pipeline.longest_in_engine();
    if inside > app.config.wedge_timeout {
        return Err(Problem::wedged(inside));
    }
    Ok(())
}

/// Ready once a model has warmed up and while one of its workers has an engine; no longer while draining.
///
/// # Errors
/// [`Problem::not_ready`], [`Problem::draining`].
pub fn ready(app: &App) -> Result<(), Problem> {
    if app.draining() {
        return Err(Problem::draining());
    }
    app.ready_model().map(|_| ())
}

/// Whether a route only asks how the server, or a model, is.
#[must_use]
pub fn is_probe(route: &str) -> bool {
    let v2 = route.starts_with("/v2/") && (route.ends_with("/ready") || route.ends_with("/live"));
    v2 || ["/livez", "/readyz", "/healthz", "/metrics"].contains(&route)
}

/// 200 while [`live`].
///
/// # Errors
/// Those of [`live`].
pub async fn livez(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    live(&app).map(|()| Json(json!({"status": "live"})))
}

/// 200 while [`ready`].
///
/// # Errors
/// Those of [`ready`].
pub async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    ready(&app).map(|()| Json(json!({"status": "ready"})))
}

/// Prometheus text.
///
/// # Errors
/// 500 if the encoder fails.
pub async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let text = app
        .metrics
        .render()
        .map_err(|e| Problem::internal(e.to_string()))?;
    let media_type = HeaderValue::from_static(prometheus::TEXT_FORMAT);
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}
