//! `POST /admin/reload`.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use fer_engine::EngineInfo;
use serde::Serialize;

use super::port::Port;
use crate::{
    app::App,
    http::{problem::Problem, types::ModelRef},
    reload::Reloads,
};

#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) port: Port,
    pub(crate) reloads: Reloads,
}

/// The model in service: `model`, `engine`, `precision`, `device`.
#[derive(Debug, Serialize)]
struct Reloaded<'a> {
    model: ModelRef<'a>,
    #[serde(flatten)]
    info: &'a EngineInfo,
}

/// Loads the model folder, the API keys and the certificate again, and answers when that is done. Refused on the main
/// port without API keys, where any client could send it.
pub(crate) async fn reload(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Context>,
) -> Result<Response, Problem> {
    if context.port == Port::Main && !app.auth.requires_key() {
        return Err(Problem::admin_closed());
    }
    let model = context.reloads.reload(&app).await?;
    Ok(Json(Reloaded {
        model: ModelRef::from(&model.manifest),
        info: model.batcher.info(),
    })
    .into_response())
}
