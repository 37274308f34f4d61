//! The server's life: bind, load, warm up, serve, reload, drain, end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use fer_engine::EngineError;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    accept::{HttpServer, accept},
    connections::ConnectionLimit,
    signals::{Control, signals, stop},
};
use crate::{
    app::App,
    batcher::StartError,
    config::Config,
    http::{self, Port},
    observability::metrics::Metrics,
    reload::{self, Reloads, load},
    tls::Tls,
};

/// At the end, how long tasks and threads that are still busy may take.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address} ({flag}): {source}")]
    Listen {
        flag: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot load the model (--model): {0}")]
    Model(#[from] StartError),
    #[error(transparent)]
    Device(#[from] EngineError),
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Runs the server until a signal ends it, then exits: code 0 after a drain, 1 if the server could not start.
pub(crate) fn main(config: Config) -> ! {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServeError::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(async {
                let control = signals()?;
                let listener = bind("--listen", config.listen).await?;
                run(listener, config, control, std::future::ready(())).await
            });
            // A model that is still loading must not delay the end.
            runtime.shutdown_timeout(LAST_GRACE);
            outcome
        });
    let code = match outcome {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!(error = error.to_string(), "the server could not start");
            1
        }
    };
    // Nothing is left to write.
    crate::sys::exit_now(code)
}

async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen {
            flag,
            address,
            source,
        })
}

/// Serves on `listener`: answers probes at once, loads and warms up the model (after `load_after`, with which a test holds
/// it up), is then ready, and ends after [`Control::Stop`] (or when `control` has no sender left) once it has drained.
///
/// # Errors
/// [`ServeError`] if the device or the model is not available at the start.
pub async fn run(
    listener: TcpListener,
    config: Config,
    mut control: mpsc::Receiver<Control>,
    load_after: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let cuda = config.model.device.resolve()?.is_cuda();
    config.log(cuda);
    let (drain_delay, drain_timeout) = (config.drain_delay, config.drain_timeout);
    let mut reload = false;
    // Files on a dead mount must not make the start deaf to signals.
    let prepared = tokio::task::spawn_blocking(move || prepare(config, cuda));
    let (app, tls) = tokio::select! {
        prepared = prepared => prepared.map_err(io::Error::other)??,
        () = stop(&mut control, &mut reload) => {
            tracing::info!("stopped before the server was set up");
            return Ok(());
        }
    };
    let (reloads, requests) = Reloads::channel();
    // Cancelled on drop, too, however this function returns.
    let admin_stop = CancellationToken::new();
    let _admin_guard = admin_stop.clone().drop_guard();
    let admin = admin_port(&app, &reloads, &admin_stop).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let stop_accepting = CancellationToken::new();
    let mut acceptor = tokio::spawn(serve(
        listener,
        &app,
        Port::Main,
        reloads.clone(),
        tls.clone(),
        stop_accepting.clone(),
    ));

    tokio::select! {
        loaded = async { load_after.await; load(Arc::clone(&app)).await } => drop(loaded?),
        () = stop(&mut control, &mut reload) => {
            tracing::info!("stopped before the model was loaded");
            return Ok(());
        }
    }
    tracing::info!("ready");

    let reloader = tokio::spawn(reload::serve(Arc::clone(&app), tls, requests));
    if reload {
        // The first load may have read the old files.
        reloads.trigger();
    }
    while let Some(Control::Reload) = control.recv().await {
        reloads.trigger();
    }
    reloader.abort();

    app.drain();
    tracing::info!(delay = ?drain_delay, "draining; a second signal skips the delay");
    tokio::select! {
        () = tokio::time::sleep(drain_delay) => {}
        () = stop(&mut control, &mut reload) => {}
    }
    stop_accepting.cancel();
    if tokio::time::timeout(drain_timeout, &mut acceptor).await.is_err() {
        tracing::warn!(timeout = ?drain_timeout, "requests were still in flight at the drain timeout");
        acceptor.abort();
    }
    if let Some(model) = app.pipeline.swap_model(None) {
        let join = tokio::task::spawn_blocking(move || model.batcher.shutdown());
        // Only a batch in the engine can take longer.
        let _ = tokio::time::timeout(LAST_GRACE, join).await;
    }
    // Last, so that metrics and probes show the whole drain.
    admin_stop.cancel();
    if let Some(admin) = admin {
        let _ = tokio::time::timeout(LAST_GRACE, admin).await;
    }
    // Sending spans blocks, which the runtime's threads must not.
    let _ = tokio::task::spawn_blocking(move || app.traces.shutdown()).await;
    tracing::info!("ended");
    Ok(())
}

/// Reads the files of keys, certificate and private key, and starts the pools.
fn prepare(config: Config, cuda: bool) -> Result<(Arc<App>, Option<Arc<Tls>>), ServeError> {
    let app = App::new(config, Arc::new(Metrics::new(http::series())?), cuda)?;
    let tls = Tls::configured(&app.config.access).map_err(io::Error::other)?;
    Ok((Arc::new(app), tls.map(Arc::new)))
}

/// Serves the routes of a port on its listener until `stop`.
fn serve(
    listener: TcpListener,
    app: &Arc<App>,
    port: Port,
    reloads: Reloads,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let router = http::router(Arc::clone(app), port, reloads);
    let http = HttpServer::new(router, app.config.header_timeout);
    let limit = ConnectionLimit::new(app.config.max_connections.get());
    accept(listener, limit, http, tls, stop)
}

async fn admin_port(
    app: &Arc<App>,
    reloads: &Reloads,
    stop: &CancellationToken,
) -> Result<Option<JoinHandle<()>>, ServeError> {
    let Some(address) = app.config.access.admin_listen else {
        return Ok(None);
    };
    let listener = bind("--admin-listen", address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening for metrics and administration");
    let serving = serve(listener, app, Port::Admin, reloads.clone(), None, stop.clone());
    Ok(Some(tokio::spawn(serving)))
}
