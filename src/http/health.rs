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

/// 200 as long as the process answers at all.
pub async fn livez() -> Json<Value> {
    Json(json!({"status": "live"}))
}

/// 200 once a model has warmed up and while one of its workers has an engine; 503 while draining.
///
/// # Errors
/// [`Problem::not_ready`], [`Problem::draining`].
pub async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    if app.draining() {
        return Err(Problem::draining());
    }
    app.ready_model().map(|_| Json(json!({"status": "ready"})))
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
