//! The server and its model in the protocol's words.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};
use fer_engine::emotion::CLASSES;
use serde_json::{Value, json};

use super::{INPUT, Names, OUTPUT, check_names};
use crate::{
    app::App,
    http::{problem::Problem, readiness},
    loaded_model::LoadedModel,
};

pub(crate) async fn server() -> Json<Value> {
    Json(json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_configuration"],
    }))
}

pub(crate) async fn live(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    readiness::live(&app).map(|()| Json(json!({"live": true})))
}

pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    readiness::ready(&app).map(|()| Json(json!({"ready": true})))
}

/// The model that answers: 503 while none is ready, 404 if it has another name or version.
fn named(app: &App, names: &HashMap<String, String>) -> Result<Arc<LoadedModel>, Problem> {
    let model = app.pipeline.ready_model().ok_or_else(Problem::not_ready)?;
    check_names(&model.manifest, names)?;
    Ok(model)
}

/// 200 if that model answers, and not while draining.
pub(crate) async fn model_ready(
    State(app): State<Arc<App>>,
    Path(names): Names,
) -> Result<Json<Value>, Problem> {
    if app.draining() {
        return Err(Problem::draining());
    }
    let model = named(&app, &names)?;
    Ok(Json(json!({"name": model.manifest.name, "ready": true})))
}

/// Its tensors. The input is described as `BYTES` `[-1]`, the form that most clients send; `UINT8` and `FP32`
/// `[-1,1,48,48]` work as well.
pub(crate) async fn model(State(app): State<Arc<App>>, Path(names): Names) -> Result<Json<Value>, Problem> {
    let model = named(&app, &names)?;
    Ok(Json(json!({
        "name": model.manifest.name,
        "versions": [model.manifest.version],
        "platform": "pytorch_torchscript",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, CLASSES]}],
    })))
}

/// Triton's description of the same (its model configuration extension), which `perf_analyzer` reads. The server batches
/// by itself, so `max_batch_size` is 0 and the shapes include the batch.
pub(crate) async fn config(State(app): State<Arc<App>>, Path(names): Names) -> Result<Json<Value>, Problem> {
    let model = named(&app, &names)?;
    Ok(Json(json!({
        "name": model.manifest.name,
        "platform": "pytorch_torchscript",
        "backend": "fer-serve",
        "max_batch_size": 0,
        "input": [{"name": INPUT, "data_type": "TYPE_STRING", "dims": [-1]}],
        "output": [{"name": OUTPUT, "data_type": "TYPE_FP32", "dims": [-1, CLASSES]}],
    })))
}
