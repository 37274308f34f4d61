//! `GET /model`: what answers, and how it is run.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};

use super::{problem::Problem, types::ModelCard};
use crate::app::App;

/// Name, version, labels, input, scores, engine, precision, device.
///
/// # Errors
/// [`Problem::not_ready`] before a model has warmed up.
pub async fn model(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let model = app.model.load_full().ok_or_else(Problem::not_ready)?;
    let m = &model.manifest;
    Ok(Json(ModelCard {
        name: &m.name,
        version: &m.version,
        labels: &m.labels,
        input: m.input,
        scores: &m.scores,
        info: model.batcher.info(),
    })
    .into_response())
}
