//! Reading again, while serving, what may have changed: model folder, API keys, certificate.
//!
//! Each is taken over or refused by itself: a broken model does not keep a withdrawn key alive. What is refused stays
//! as it was.

use std::{io, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use crate::{
    batcher::StartError,
    engine::EngineError,
    http::{App, problem::Problem},
    loaded_model::LoadedModel,
    tls::Tls,
};

/// Wishes that may wait while a reload is under way; they share the next one.
pub const WAITING: usize = 64;
/// How often it is looked whether the old model has gone.
const RETIRING: std::time::Duration = std::time::Duration::from_millis(200);

/// How a reload ended: the model that answers now, or what was refused.
pub(crate) type Outcome = Result<Arc<LoadedModel>, Problem>;

/// Someone who wants a reload, and may want to know how it ended.
#[derive(Debug, Default)]
pub struct Wish(Option<oneshot::Sender<Outcome>>);

impl Wish {
    /// A wish whose outcome is handed to the receiver.
    #[must_use]
    pub(crate) fn answered() -> (Self, oneshot::Receiver<Outcome>) {
        let (tell, outcome) = oneshot::channel();
        (Self(Some(tell)), outcome)
    }
}

/// Grants wishes one after the other until nobody can have any.
pub async fn serve(app: Arc<App>, mut wishes: mpsc::Receiver<Wish>) {
    while let Some(first) = wishes.recv().await {
        let mut granted = vec![first];
        while let Ok(more) = wishes.try_recv() {
            granted.push(more);
        }
        let outcome = reload(&app).await;
        for tell in granted.into_iter().filter_map(|wish| wish.0) {
            let _ = tell.send(outcome.clone());
        }
    }
}

/// Reads everything again.
async fn reload(app: &Arc<App>) -> Outcome {
    let mut refused = Vec::new();
    let shared = Arc::clone(app);
    let read = move || (shared.access.reload(), shared.tls.as_ref().map(Tls::reload));
    let (keys, tls) = match tokio::task::spawn_blocking(read).await {
        Ok(done) => done,
        Err(panic) => return Err(Problem::internal(panic.to_string())),
    };
    match tls {
        None => {}
        Some(Ok(())) => tracing::info!("certificate and key read again"),
        Some(Err(error)) => {
            tracing::error!(
                error = error.to_string(),
                "the new certificate was refused; the old one stays"
            );
            refused.push(format!(
                "the certificate was refused and the old one stays: {}",
                error.public()
            ));
        }
    }
    match keys {
        Ok(None) => {}
        Ok(Some(keys)) => tracing::info!(keys, "API keys read again"),
        Err(error) => {
            tracing::error!(
                error = error.to_string(),
                "the new API keys were refused; the old ones stay"
            );
            refused.push(format!(
                "the API keys were refused and the old ones stay: the file {error}"
            ));
        }
    }
    let result = load(Arc::clone(app)).await;
    app.metrics.reloaded(result.is_ok());
    match result {
        Ok(model) if refused.is_empty() => Ok(model),
        Ok(_) => Err(Problem::reload_refused(refused.join("; "), None)),
        Err(error) => {
            tracing::error!(
                error = error.to_string(),
                "the new model was refused; the old one goes on"
            );
            refused.push(format!(
                "the model was refused and the old one goes on: {}",
                public(&error)
            ));
            Err(Problem::reload_refused(
                refused.join("; "),
                Some(error.to_string()),
            ))
        }
    }
}

/// Loads the model folder and lets it answer from now on.
///
/// # Errors
/// [`StartError`] if it is refused; nothing has changed then.
pub(crate) async fn load(app: Arc<App>) -> Result<Arc<LoadedModel>, StartError> {
    let began = std::time::Instant::now();
    let loading = Arc::clone(&app);
    let serving = app.pipeline.model().map(|m| m.serves.clone());
    let loaded = tokio::task::spawn_blocking(move || {
        LoadedModel::load(&loading.config, &loading.metrics, serving.as_ref())
    })
    .await;
    let model = Arc::new(loaded.map_err(|e| StartError::Panic(e.to_string()))??);
    let info = model.batcher.info();
    tracing::info!(
        name = model.manifest.name,
        version = model.manifest.version,
        engine = info.engine,
        precision = info.precision,
        device = info.device,
        took = ?began.elapsed(),
        "model loaded and warmed up"
    );
    app.metrics.set_model(&model.manifest, info);
    // Who is being answered by the old model still holds it; with the last of them its workers end.
    let old = app.pipeline.swap_model(Some(Arc::clone(&model)));
    tokio::spawn(give_memory_back(old));
    Ok(model)
}

/// Waits until nobody holds the old model any more, and hands its memory and that of loading back to the system.
async fn give_memory_back(old: Option<Arc<LoadedModel>>) {
    if let Some(old) = old {
        let held = Arc::downgrade(&old);
        drop(old);
        while held.strong_count() > 0 {
            tokio::time::sleep(RETIRING).await;
        }
        // Its workers free their engines on their way out.
        tokio::time::sleep(RETIRING).await;
    }
    let _ = tokio::task::spawn_blocking(crate::sys::trim_memory).await;
}

/// What may be said over HTTP of a model's refusal: names of files and what is wrong with them, neither folders nor
/// the words of libraries.
fn public(error: &StartError) -> String {
    let name = |path: &std::path::Path| {
        path.file_name()
            .map_or_else(|| "the folder".to_owned(), |n| n.to_string_lossy().into_owned())
    };
    match error {
        StartError::Engine(EngineError::Read { path, source }) => {
            let reason = match source.kind() {
                io::ErrorKind::NotFound => "there is no such file".to_owned(),
                io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
                kind => kind.to_string(),
            };
            format!("{}: {reason}", name(path))
        }
        StartError::Engine(EngineError::Invalid { path, reason }) => format!("{}: {reason}", name(path)),
        StartError::Engine(error @ (EngineError::Shape { .. } | EngineError::NoCuda { .. })) => {
            error.to_string()
        }
        StartError::Engine(_) => "the network cannot be run; the server's log has the cause".to_owned(),
        StartError::Panic(_) | StartError::Thread(_) => {
            "it could not be started; the server's log has the cause".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_file_and_not_its_folder() {
        let invalid = StartError::Engine(EngineError::Invalid {
            path: "/srv/secret/model.pt".into(),
            reason: "has 3 bytes".to_owned(),
        });
        assert_eq!(public(&invalid), "model.pt: has 3 bytes");
        let missing = StartError::Engine(EngineError::Read {
            path: "/srv/secret/model.json".into(),
            source: io::ErrorKind::NotFound.into(),
        });
        assert_eq!(public(&missing), "model.json: there is no such file");
        let panic = StartError::Panic("at /srv/secret".to_owned());
        assert!(!public(&panic).contains("secret"));
    }
}
