//! `POST /admin/reload`.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{App, problem::Problem, types::ModelRef};
use crate::engine::EngineInfo;

/// Which listener a request came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// `--listen`.
    Main,
    /// `--admin-listen`.
    Admin,
}

/// The model that answers now: `model`, `engine`, `precision`, `device`.
#[derive(Debug, Serialize)]
struct Reloaded<'a> {
    model: ModelRef<'a>,
    #[serde(flatten)]
    info: &'a EngineInfo,
}

/// Loads the model folder, the API keys and the certificate again, and answers when that is done.
///
/// # Errors
/// 403 where nothing keeps strangers out: on the main port without API keys. 422 if something was refused, 503
/// before the first model is ready or with too many reloads waiting.
pub async fn reload(
    State(app): State<Arc<App>>,
    Extension(port): Extension<Port>,
) -> Result<Response, Problem> {
    if port == Port::Main && app.access.keys().is_none() {
        return Err(Problem::admin_closed());
    }
    let model = app.reload().await?;
    Ok(Json(Reloaded {
        model: ModelRef::from(&model.manifest),
        info: model.batcher.info(),
    })
    .into_response())
}
