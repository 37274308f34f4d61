//! What the server and its model are, in the protocol's words.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{INPUT, OUTPUT};
use crate::{
    app::App,
    emotion::CLASSES,
    http::{problem::Problem, routes::health},
    model::Model,
};

/// Name, version, extensions.
pub async fn server() -> Json<Value> {
    Json(json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_configuration"],
    }))
}

/// 200 while the server is live, as for `/livez`.
///
/// # Errors
/// Those of [`health::live`].
pub async fn live(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    health::live(&app).map(|()| Json(json!({"live": true})))
}

/// 200 while the server is ready, as for `/readyz`.
///
/// # Errors
/// Those of [`health::ready`].
pub async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    health::ready(&app).map(|()| Json(json!({"ready": true})))
}

/// The variables of a path under `/v2/models/{name}`.
pub type Names = Path<HashMap<String, String>>;

/// The model that answers, if it has that name and, where the path gives one, that version.
///
/// # Errors
/// [`Problem::not_ready`], [`Problem::unknown_model`].
pub fn named(app: &App, names: &HashMap<String, String>) -> Result<Arc<Model>, Problem> {
    let model = app.ready_model()?;
    let is = |key: &str, value: &str| names.get(key).is_none_or(|asked| asked == value);
    if is("name", &model.manifest.name) && is("version", &model.manifest.version) {
        Ok(model)
    } else {
        Err(Problem::unknown_model(
            &model.manifest.name,
            &model.manifest.version,
        ))
    }
}

/// 200 if that model answers.
///
/// # Errors
/// 404 for another name or version, 503 as long as none is ready and while draining.
pub async fn model_ready(State(app): State<Arc<App>>, Path(names): Names) -> Result<Json<Value>, Problem> {
    if app.draining() {
        return Err(Problem::draining());
    }
    let model = named(&app, &names)?;
    Ok(Json(json!({"name": model.manifest.name, "ready": true})))
}

/// Its tensors. The input is described as `BYTES` `[-1]`, the form most send; `UINT8` and `FP32` `[-1,1,48,48]` are
/// taken just as well.
///
/// # Errors
/// 404 for another name or version, 503 as long as none is ready.
pub async fn model(State(app): State<Arc<App>>, Path(names): Names) -> Result<Json<Value>, Problem> {
    let model = named(&app, &names)?;
    Ok(Json(json!({
        "name": model.manifest.name,
        "versions": [model.manifest.version],
        "platform": "pytorch_torchscript",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, CLASSES]}],
    })))
}

/// Triton's description of the same (its model configuration extension), which `perf_analyzer` asks for. Batching is the
/// server's own affair, so `max_batch_size` is 0 and the shapes are whole.
///
/// # Errors
/// As [`model`].
pub async fn config(State(app): State<Arc<App>>, Path(names): Names) -> Result<Json<Value>, Problem> {
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
