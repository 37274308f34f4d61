//! Probes and metrics. None of them waits for work, so they answer under any load.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    app::App,
    http::{
        problem::Problem,
        readiness::{live, ready},
    },
};

pub(crate) async fn livez(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    live(&app).map(|()| Json(json!({"status": "live"})))
}

pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    ready(&app).map(|()| Json(json!({"status": "ready"})))
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let text = app
        .metrics
        .render()
        .map_err(|e| Problem::internal(e.to_string()))?;
    let media_type = HeaderValue::from_static(prometheus::TEXT_FORMAT);
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}
