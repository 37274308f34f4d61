//! Probes and metrics. None of them waits for work, so they answer under any load.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{app::App, http::problem::Problem};

/// Live while the process answers, under any load, with or without a model. No longer live once a worker has been inside
/// its engine for longer than `--wedge-timeout`: only a restart helps then.
pub(crate) fn live(app: &App) -> Result<(), Problem> {
    let model = app.model.load();
    let inside = model
        .as_ref()
        .map_or(Duration::ZERO, |m| m.batcher.longest_in_engine());
    if inside > app.config.wedge_timeout {
        return Err(Problem::wedged(inside));
    }
    Ok(())
}

/// Ready once a model has warmed up, while at least one of its workers has an engine, and until the drain begins.
pub(crate) fn ready(app: &App) -> Result<(), Problem> {
    if app.draining() {
        return Err(Problem::draining());
    }
    app.ready_model()?;
    Ok(())
}

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
