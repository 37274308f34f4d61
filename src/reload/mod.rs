//! Reload while serving: model folder, API keys and certificate.
//!
//! Each is applied or rejected on its own: a broken model does not keep a withdrawn key valid. What is rejected stays as
//! it was.

mod limited;
mod load;

pub(crate) use load::load;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    task::spawn_blocking,
};

use crate::{app::App, loaded_model::LoadedModel, tls::Tls};
use limited::{Limited, Unfinished};
use load::public;

/// Requests that may wait while a reload runs; the next reload answers all of them.
const QUEUE_LEN: usize = 64;
/// Within this time keys and certificate are read again, each by itself.
const ACCESS_LIMIT: Duration = Duration::from_secs(5);
/// Within this time a model is loaded and warmed up. It takes a second as a rule, and minutes only beside heavy load.
const MODEL_LIMIT: Duration = Duration::from_secs(300);

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
            TrySendError::Full(_) => ReloadError::QueueFull,
            TrySendError::Closed(_) => ReloadError::ShuttingDown,
        })?;
        answer.await.unwrap_or(Err(ReloadError::ShuttingDown))
    }

    /// Requests a reload without waiting for it.
    pub(crate) fn trigger(&self) {
        // If the channel is full, the requests in it cover this one.
        let _ = self.0.try_send(Request(None));
    }
}

/// Answers requests until all senders are dropped. Keys and certificate are read again at once, within
/// [`ACCESS_LIMIT`] and whatever the model does: a folder on a dead mount must not keep a withdrawn key in force.
pub(crate) async fn serve(app: Arc<App>, tls: Option<Arc<Tls>>, requests: mpsc::Receiver<Request>) {
    let (sender, loads) = mpsc::channel(QUEUE_LEN);
    let access = reload_access(Arc::clone(&app), tls, requests, sender);
    tokio::join!(access, reload_models(app, loads));
}

/// Requests whose keys and certificate were read again, and for which the model is to be loaded.
struct ModelRequest {
    waiting: Vec<Request>,
    /// What was rejected of keys and certificate, for clients.
    rejected: Vec<String>,
}

impl ModelRequest {
    fn answer(self, result: &Result) {
        for sender in self.waiting.into_iter().filter_map(|request| request.0) {
            let _ = sender.send(result.clone());
        }
    }
}

async fn reload_access(
    app: Arc<App>,
    tls: Option<Arc<Tls>>,
    mut requests: mpsc::Receiver<Request>,
    loads: mpsc::Sender<ModelRequest>,
) {
    let (mut certificate, mut keys) = (Limited::new(ACCESS_LIMIT), Limited::new(ACCESS_LIMIT));
    let mut waiting = Vec::new();
    while requests.recv_many(&mut waiting, QUEUE_LEN).await > 0 {
        let (app, tls) = (Arc::clone(&app), tls.clone());
        let (certificate, keys) = tokio::join!(
            certificate.run(|| spawn_blocking(move || reload_certificate(tls.as_deref()))),
            keys.run(|| spawn_blocking(move || reload_keys(&app))),
        );
        let rejected = [("certificate", certificate), ("API keys", keys)];
        let rejected = rejected.into_iter().filter_map(|(what, result)| {
            result.unwrap_or_else(|unfinished| Some(explain_unfinished(what, &unfinished, ACCESS_LIMIT)))
        });
        let request = ModelRequest {
            rejected: rejected.collect(),
            waiting: std::mem::take(&mut waiting),
        };
        // If the channel is full, the requests in it cover those that want no answer.
        if let Err(error) = loads.try_send(request) {
            let (TrySendError::Full(request) | TrySendError::Closed(request)) = error;
            request.answer(&Err(ReloadError::QueueFull));
        }
    }
}

/// Logs why a part of a reload has no result, and returns the rejection for clients.
fn explain_unfinished(what: &str, unfinished: &Unfinished, limit: Duration) -> String {
    match unfinished {
        Unfinished::Late => {
            tracing::error!(what, ?limit, "a part of a reload does not come to its end");
            format!("reading the {what} takes longer than {limit:?}; until it ends, the old stays in force")
        }
        Unfinished::Panicked(panic) => {
            tracing::error!(what, error = panic, "a part of a reload panicked");
            format!("reading the {what} failed, and the old stays in force; the server's log has the cause")
        }
    }
}

/// Returns the rejection for clients, if there is one.
fn reload_certificate(tls: Option<&Tls>) -> Option<String> {
    let error = match tls?.reload() {
        Ok(()) => {
            tracing::info!("certificate and key read again");
            return None;
        }
        Err(error) => error,
    };
    tracing::error!(
        error = error.to_string(),
        "the new certificate was refused; the old one stays"
    );
    let public = error.public();
    Some(format!(
        "the certificate was refused and the old one stays: {public}"
    ))
}

/// Returns the rejection for clients, if there is one.
fn reload_keys(app: &App) -> Option<String> {
    let error = match app.auth.reload() {
        Ok(None) => return None,
        Ok(Some(keys)) => {
            tracing::info!(keys, "API keys read again");
            return None;
        }
        Err(error) => error,
    };
    tracing::error!(
        error = error.to_string(),
        "the new API keys were refused; the old ones stay"
    );
    Some(format!(
        "the API keys were refused and the old ones stay: the file {error}"
    ))
}

/// Why the model was not replaced: for clients, and for the log.
struct ModelRejected {
    detail: String,
    cause: Option<String>,
}

/// Loads the model, one load after the other. Requests that come during a load are answered by the next.
async fn reload_models(app: Arc<App>, mut loads: mpsc::Receiver<ModelRequest>) {
    let mut loading = Limited::new(MODEL_LIMIT);
    let mut requests = Vec::new();
    while loads.recv_many(&mut requests, QUEUE_LEN).await > 0 {
        let load = || tokio::spawn(reload_model(Arc::clone(&app)));
        let loaded = loading.run(load).await.unwrap_or_else(|unfinished| {
            app.metrics.reloaded(false);
            let detail = explain_unfinished("model", &unfinished, MODEL_LIMIT);
            Err(ModelRejected { detail, cause: None })
        });
        for mut request in requests.drain(..) {
            let rejected = std::mem::take(&mut request.rejected);
            request.answer(&match &loaded {
                Ok(model) if rejected.is_empty() => Ok(Arc::clone(model)),
                Ok(_) => Err(ReloadError::Rejected {
                    detail: rejected.join("; "),
                    cause: None,
                }),
                Err(model) => Err(ReloadError::Rejected {
                    detail: [&rejected[..], std::slice::from_ref(&model.detail)]
                        .concat()
                        .join("; "),
                    cause: model.cause.clone(),
                }),
            });
        }
    }
}

async fn reload_model(app: Arc<App>) -> std::result::Result<Arc<LoadedModel>, ModelRejected> {
    let loaded = load(Arc::clone(&app)).await;
    app.metrics.reloaded(loaded.is_ok());
    loaded.map_err(|error| {
        let cause = error.to_string();
        tracing::error!(error = cause, "the new model was refused; the old one goes on");
        ModelRejected {
            detail: format!(
                "the model was refused and the old one goes on: {}",
                public(&error)
            ),
            cause: Some(cause),
        }
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};

    use super::*;
    use crate::{
        config::{Command, Config},
        http,
        observability::metrics::Metrics,
    };

    #[tokio::test]
    async fn keys_are_read_again_while_a_model_never_comes_to_be_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        std::fs::write(&file, "old-0123456789abcdef").unwrap();
        let args = ["fer-serve", "--api-keys", file.to_str().unwrap()];
        let Command::Run(config) = Config::parse_from(args).unwrap() else {
            panic!("not run")
        };
        let metrics = Arc::new(Metrics::new(http::series()).unwrap());
        let app = Arc::new(App::new(*config, metrics, false).unwrap());
        let (reloads, requests) = Reloads::channel();
        // Nothing is taken out of it, as while a load hangs.
        let (sender, loads) = mpsc::channel(1);
        tokio::spawn(reload_access(Arc::clone(&app), None, requests, sender));
        let reload = || {
            let (sender, answer) = oneshot::channel();
            reloads.0.try_send(Request(Some(sender))).unwrap();
            answer
        };
        let accepts = |key: &str| {
            let value = format!("Bearer {key}").parse().unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            app.auth.check(&headers, None).is_ok()
        };
        let _waits = reload();
        while loads.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for n in 0..3 {
            let key = format!("new-{n}-0123456789abcdef");
            std::fs::write(&file, &key).unwrap();
            // The first has filled the channel, so these are answered once the keys were read.
            let answer = reload().await.unwrap();
            assert!(matches!(answer, Err(ReloadError::QueueFull)), "{answer:?}");
            assert!(accepts(&key) && !accepts("old-0123456789abcdef"));
        }
    }
}
