//! Reload while serving: model folder, API keys and certificate.
//!
//! Each is applied or rejected on its own: a broken model does not keep a withdrawn key valid. What is rejected stays as
//! it was.

use std::{fmt::Display, io, path::Path, sync::Arc, time::Duration};

use fer_engine::EngineError;
use tokio::sync::{mpsc, oneshot};

use crate::{app::App, batcher::StartError, loaded_model::LoadedModel, tls::Tls};

/// Requests that may wait while a reload runs; the next reload answers all of them.
const QUEUE_LEN: usize = 64;
/// How often a retired model is checked for requests that still use it.
const RETIRE_POLL: Duration = Duration::from_millis(200);

/// The model that is in service after the reload.
type Result = std::result::Result<Arc<LoadedModel>, ReloadError>;

#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ReloadError {
    #[error("the first model is not loaded yet")]
    NotReady,
    #[error("too many reloads are waiting")]
    QueueFull,
    #[error("the server is shutting down")]
    ShuttingDown,
    /// `detail` is for clients, `cause` for the log only.
    #[error("{detail}")]
    Rejected { detail: String, cause: Option<String> },
    #[error("a reload panicked: {0}")]
    Panic(String),
}

/// A request for a reload, with the channel of its answer if it wants one.
#[derive(Debug)]
pub(crate) struct Request(Option<oneshot::Sender<Result>>);

/// Sends requests to [`serve`].
#[derive(Debug, Clone)]
pub(crate) struct Reloads(mpsc::Sender<Request>);

impl Reloads {
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Request>) {
        let (sender, requests) = mpsc::channel(QUEUE_LEN);
        (Self(sender), requests)
    }

    /// Requests a reload and waits until it is done.
    pub(crate) async fn reload(&self, app: &App) -> Result {
        if app.pipeline.model().is_none() && !self.0.is_closed() {
            return Err(ReloadError::NotReady);
        }
        let (sender, answer) = oneshot::channel();
        self.0.try_send(Request(Some(sender))).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => ReloadError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => ReloadError::ShuttingDown,
        })?;
        answer.await.unwrap_or(Err(ReloadError::ShuttingDown))
    }

    /// Requests a reload without waiting for it.
    pub(crate) fn trigger(&self) {
        // If the channel is full, the requests in it cover this one.
        let _ = self.0.try_send(Request(None));
    }
}

/// Answers requests, one reload after the other, until all senders are dropped.
pub(crate) async fn serve(app: Arc<App>, tls: Option<Arc<Tls>>, mut requests: mpsc::Receiver<Request>) {
    while let Some(first) = requests.recv().await {
        let mut waiting = vec![first];
        while let Ok(more) = requests.try_recv() {
            waiting.push(more);
        }
        let result = reload(&app, tls.clone()).await;
        for sender in waiting.into_iter().filter_map(|request| request.0) {
            let _ = sender.send(result.clone());
        }
    }
}

async fn reload(app: &Arc<App>, tls: Option<Arc<Tls>>) -> Result {
    let mut rejected = Vec::new();
    let shared = Arc::clone(app);
    let read = move || (shared.auth.reload(), tls.as_deref().map(Tls::reload));
    let (keys, tls) = tokio::task::spawn_blocking(read)
        .await
        .map_err(|panic| ReloadError::Panic(panic.to_string()))?;
    // Whole sentences at the call sites, so that a search for a log line finds it.
    let mut reject = |line: &str, error: &dyn Display, detail: String| {
        tracing::error!(error = error.to_string(), "{line}");
        rejected.push(detail);
    };
    match tls {
        None => {}
        Some(Ok(())) => tracing::info!("certificate and key read again"),
        Some(Err(error)) => reject(
            "the new certificate was refused; the old one stays",
            &error,
            format!(
                "the certificate was refused and the old one stays: {}",
                error.public()
            ),
        ),
    }
    match keys {
        Ok(None) => {}
        Ok(Some(keys)) => tracing::info!(keys, "API keys read again"),
        Err(error) => reject(
            "the new API keys were refused; the old ones stay",
            &error,
            format!("the API keys were refused and the old ones stay: the file {error}"),
        ),
    }
    let model = load(Arc::clone(app)).await;
    app.metrics.reloaded(model.is_ok());
    if let Err(error) = &model {
        reject(
            "the new model was refused; the old one goes on",
            error,
            format!("the model was refused and the old one goes on: {}", public(error)),
        );
    }
    match model {
        Ok(model) if rejected.is_empty() => Ok(model),
        model => Err(ReloadError::Rejected {
            detail: rejected.join("; "),
            cause: model.err().map(|error| error.to_string()),
        }),
    }
}

/// Loads the model folder and puts the model into service; on an error nothing changes.
pub(crate) async fn load(app: Arc<App>) -> std::result::Result<Arc<LoadedModel>, StartError> {
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
fn public(error: &StartError) -> String {
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
