//! Loading the model folder beside the model that serves, and what clients are told if that fails.

use std::{io, path::Path, sync::Arc, time::Duration};

use fer_engine::EngineError;

use crate::{app::App, batcher::StartError, loaded_model::LoadedModel};

/// How often a retired model is checked for requests that still use it.
const RETIRE_POLL: Duration = Duration::from_millis(200);

/// Loads the model folder and puts the model into service; on an error nothing changes.
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
    // Requests in flight still hold the old model; its workers stop when the last one drops it.
    let old = app.pipeline.swap_model(Some(Arc::clone(&model)));
    tokio::spawn(release_memory(old));
    Ok(model)
}

/// Waits until no request holds the old model, then returns its memory, and that of loading, to the system.
async fn release_memory(old: Option<Arc<LoadedModel>>) {
    if let Some(old) = old {
        let held = Arc::downgrade(&old);
        drop(old);
        while held.strong_count() > 0 {
            tokio::time::sleep(RETIRE_POLL).await;
        }
        // Its workers free their engines when they stop.
        tokio::time::sleep(RETIRE_POLL).await;
    }
    let _ = tokio::task::spawn_blocking(crate::sys::trim_memory).await;
}

/// The message for clients: the names of files and what is wrong with them, but no folders and no messages of libraries.
pub(super) fn public(error: &StartError) -> String {
    let name = |path: &Path| {
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
    fn a_rejection_names_the_file_and_not_its_folder() {
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
