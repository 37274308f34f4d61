//! `GET /model`: the model that answers, and how it is run.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    http::{problem::Problem, types::ModelCard},
};

pub(crate) async fn model(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let model = app.pipeline.model().ok_or_else(Problem::not_ready)?;
    Ok(Json(ModelCard::from(&*model)).into_response())
}
