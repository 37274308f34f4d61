//! The server's life: bind, load, warm up, serve, reload, drain, end.

mod accept;

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    batcher::StartError,
    config::Config,
    engine::EngineError,
    http::{App, admin::Port},
    metrics::Metrics,
    reload::{self, Wish, load},
};

/// After the end, how long threads outside the runtime may still take.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// What the operator asks of a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Drain and end; asked a second time, skip the delay.
    Stop,
    /// Load the model folder, the API keys and the certificate again.
    Reload,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen on {address} ({flag}): {source}")]
    Listen {
        /// Which flag named it.
        flag: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The model cannot be had.
    #[error("cannot load the model (--model): {0}")]
    Model(#[from] StartError),
    /// The device cannot be had.
    #[error(transparent)]
    Device(#[from] EngineError),
    /// The system gave no thread, signal or runtime.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// Two metrics have one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Runs the server until a signal ends it, and with it the process: exit code 0 after a drain, 1 if it could not start.
pub fn main(config: Config) -> ! {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServeError::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(async {
                let control = signals()?;
                let listener = bind("--listen", config.listen).await?;
                run(listener, config, control).await
            });
            // A model that is still loading would otherwise hold up the end.
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
    // Such a load may still be inside libtorch, whose destructors would take its ground away: it crashed the process
    // once in twenty ends. Nothing is left to be written.
    crate::sys::exit_now(code)
}

async fn bind(flag: &'static str, address: std::net::SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen {
            flag,
            address,
            source,
        })
}

/// SIGTERM and SIGINT as [`Control::Stop`], SIGHUP as [`Control::Reload`].
fn signals() -> io::Result<mpsc::Receiver<Control>> {
    let (tell, control) = mpsc::channel(8);
    for (kind, what) in [
        (SignalKind::terminate(), Control::Stop),
        (SignalKind::interrupt(), Control::Stop),
        (SignalKind::hangup(), Control::Reload),
    ] {
        let mut signals = signal(kind)?;
        let tell = tell.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // A full channel has the same wish in it already, or a Stop that comes first.
                let _ = tell.try_send(what);
            }
        });
    }
    Ok(control)
}

/// Serves on `listener`: answers probes at once, loads and warms up the model, is then ready, and ends
/// after [`Control::Stop`] (or when `control` has no sender left) once it has drained.
///
/// # Errors
/// [`ServeError`] if the device or the model cannot be had at the start.
pub async fn run(
    listener: TcpListener,
    config: Config,
    mut control: mpsc::Receiver<Control>,
) -> Result<(), ServeError> {
    let cuda = config.model.device.resolve()?.is_cuda();
    log_config(&config, cuda);
    let (drain_delay, drain_timeout) = (config.drain_delay, config.drain_timeout);
    let app = Arc::new(App::new(config, Arc::new(Metrics::new()?), cuda)?);
    // Told to stop by being dropped, too, however this function is left.
    let admin_stop = CancellationToken::new();
    let _admin_guard = admin_stop.clone().drop_guard();
    let admin = admin_port(&app, &admin_stop).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let stop_accepting = CancellationToken::new();
    let mut acceptor = tokio::spawn(accept::accept(
        listener,
        Port::Main,
        Arc::clone(&app),
        stop_accepting.clone(),
    ));

    let mut reload = false;
    tokio::select! {
        loaded = load(Arc::clone(&app)) => drop(loaded?),
        () = stop(&mut control, &mut reload) => {
            tracing::info!("stopped before the model was loaded");
            return Ok(());
        }
    }
    tracing::info!("ready");

    let (wish, wishes) = mpsc::channel(reload::WAITING);
    app.reloads_go_to(wish.clone());
    let reloader = tokio::spawn(reload::serve(Arc::clone(&app), wishes));
    if reload {
        // The first load may have read what was there before.
        let _ = wish.try_send(Wish::default());
    }
    while let Some(Control::Reload) = control.recv().await {
        // A full channel has the same wish in it already.
        let _ = wish.try_send(Wish::default());
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
        // Only a batch in the engine can hold this up.
        let _ = tokio::time::timeout(LAST_GRACE, join).await;
    }
    // Last, so that the drain can be watched to its end.
    admin_stop.cancel();
    if let Some(admin) = admin {
        let _ = tokio::time::timeout(LAST_GRACE, admin).await;
    }
    // Sending blocks, which a runtime's threads must not.
    let _ = tokio::task::spawn_blocking(move || app.traces.shutdown()).await;
    tracing::info!("ended");
    Ok(())
}

/// Begins to serve the second port, if there is to be one.
async fn admin_port(app: &Arc<App>, stop: &CancellationToken) -> Result<Option<JoinHandle<()>>, ServeError> {
    let Some(address) = app.config.access.admin_listen else {
        return Ok(None);
    };
    let listener = bind("--admin-listen", address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening for metrics and administration");
    Ok(Some(tokio::spawn(accept::accept(
        listener,
        Port::Admin,
        Arc::clone(app),
        stop.clone(),
    ))))
}

/// Waits for a [`Control::Stop`]; for ever if nobody can ask any more, so that a drain keeps its delay. Notes whether a
/// reload was asked for meanwhile.
async fn stop(control: &mut mpsc::Receiver<Control>, reload: &mut bool) {
    loop {
        match control.recv().await {
            Some(Control::Stop) => return,
            Some(Control::Reload) => *reload = true,
            None => std::future::pending().await,
        }
    }
}

/// The configuration as it is in force. Of secrets it says only whether there are any.
fn log_config(config: &Config, cuda: bool) {
    let access = &config.access;
    let shown = |there: bool| if there { "given" } else { "none" };
    let origins: Vec<_> = access
        .cors_origins
        .iter()
        .filter_map(|o| o.to_str().ok())
        .collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %config.listen,
        admin_listen = access.admin_listen.map(tracing::field::display),
        tls = shown(access.tls_cert.is_some()),
        api_keys = shown(access.api_keys.is_some()),
        rate_limit = access.rate_limit,
        rate_burst = access.rate_limit.map(|_| access.burst()),
        trusted_proxies = access.trusted_proxies,
        cors_origins = origins.join(","),
        model = %config.model.model.display(),
        device = %config.model.device,
        engine = %config.model.engine,
        precision = %config.model.precision,
        cpus = config.cpus,
        workers = config.workers(cuda),
        threads = config.model.threads,
        decode_threads = config.decode_threads,
        detect_threads = config.detect_threads,
        max_faces = config.max_faces,
        max_batch = config.max_batch(cuda),
        batch_linger = ?config.batch_linger,
        queue = config.queue(cuda),
        "configuration"
    );
    tracing::info!(
        max_in_flight = config.max_in_flight(cuda),
        most_in_flight = config.most_in_flight(cuda),
        max_connections = config.max_connections,
        request_timeout = ?config.request_timeout,
        header_timeout = ?config.header_timeout,
        body_timeout = ?config.body_timeout,
        max_body = config.max_body,
        max_buffered = config.max_buffered,
        max_pixels = config.max_pixels,
        max_images = config.max_images,
        drain_delay = ?config.drain_delay,
        drain_timeout = ?config.drain_timeout,
        wedge_timeout = ?config.wedge_timeout,
        otlp_endpoint = config.otlp_endpoint,
        log = config.log.log_filter,
        "limits"
    );
}
