//! The server's life: bind, load, warm up, serve, reload, drain, end.

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use hyper::service::{Service, service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::{
    batcher::StartError,
    config::Config,
    engine::EngineError,
    http::{
        self, App,
        connection::FirstBytes,
        guests::{Guest, Guests},
    },
    metrics::Metrics,
    model::Model,
};

/// Pause after the system refused to accept a connection (it is out of file descriptors, as a rule).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// An HTTP/2 connection that does not answer a ping within hyper's 20 s is dropped.
const PING: Duration = Duration::from_secs(30);
/// Between the end of accepting and the closing of idle connections: requests that are on their way arrive
/// in it and are answered.
const LAST_REQUESTS: Duration = Duration::from_millis(100);
/// After the end, how long threads outside the runtime may still take.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// What the operator asks of a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Drain and end; asked a second time, skip the delay.
    Stop,
    /// Load the model folder again.
    Reload,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen on {address} (--listen): {source}")]
    Listen {
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

/// Runs the server until a signal ends it: exit code 0 after a drain, 1 if it could not start.
#[must_use]
pub fn main(config: Config) -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServeError::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(async {
                let control = signals()?;
                let address = config.listen;
                let listener = TcpListener::bind(address)
                    .await
                    .map_err(|source| ServeError::Listen { address, source })?;
                run(listener, config, control).await
            });
            // A model that is still loading would otherwise hold up the end.
            runtime.shutdown_timeout(LAST_GRACE);
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.to_string(), "the server could not start");
            ExitCode::FAILURE
        }
    }
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
    tracing::info!(address = %listener.local_addr()?, "listening");
    let (drain_delay, drain_timeout) = (config.drain_delay, config.drain_timeout);
    let app = Arc::new(App::new(config, Arc::new(Metrics::new()?), cuda)?);
    let stop_accepting = CancellationToken::new();
    let mut acceptor = tokio::spawn(accept(listener, Arc::clone(&app), stop_accepting.clone()));

    tokio::select! {
        loaded = load(Arc::clone(&app)) => loaded?,
        () = stop(&mut control) => {
            tracing::info!("stopped before the model was loaded");
            return Ok(());
        }
    }
    tracing::info!("ready");

    // A channel of one: wishes that come while a folder is being loaded make one more load.
    let (wish, wishes) = mpsc::channel(1);
    let reloader = tokio::spawn(reload(Arc::clone(&app), wishes));
    while let Some(Control::Reload) = control.recv().await {
        let _ = wish.try_send(());
    }
    reloader.abort();

    app.drain();
    tracing::info!(delay = ?drain_delay, "draining; a second signal skips the delay");
    tokio::select! {
        () = tokio::time::sleep(drain_delay) => {}
        () = stop(&mut control) => {}
    }
    stop_accepting.cancel();
    if tokio::time::timeout(drain_timeout, &mut acceptor).await.is_err() {
        tracing::warn!(timeout = ?drain_timeout, "requests were still in flight at the drain timeout");
        acceptor.abort();
    }
    if let Some(model) = app.model.swap(None) {
        let join = tokio::task::spawn_blocking(move || model.batcher.shutdown());
        // Only a batch in the engine can hold this up.
        let _ = tokio::time::timeout(LAST_GRACE, join).await;
    }
    tracing::info!("ended");
    Ok(())
}

/// Waits for a [`Control::Stop`]; for ever if nobody can ask any more, so that a drain keeps its delay.
async fn stop(control: &mut mpsc::Receiver<Control>) {
    loop {
        match control.recv().await {
            Some(Control::Stop) => return,
            Some(Control::Reload) => {}
            None => std::future::pending().await,
        }
    }
}

/// Loads the model folder and lets it answer from now on.
async fn load(app: Arc<App>) -> Result<(), StartError> {
    let began = std::time::Instant::now();
    let loading = Arc::clone(&app);
    let loaded = tokio::task::spawn_blocking(move || Model::load(&loading.config, &loading.metrics)).await;
    let model = loaded.map_err(|e| StartError::Panic(e.to_string()))??;
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
    app.model.store(Some(Arc::new(model)));
    Ok(())
}

async fn reload(app: Arc<App>, mut wishes: mpsc::Receiver<()>) {
    while wishes.recv().await.is_some() {
        let result = load(Arc::clone(&app)).await;
        app.metrics.reloaded(result.is_ok());
        if let Err(error) = result {
            tracing::error!(
                error = error.to_string(),
                "the new model was refused; the old one goes on"
            );
        }
    }
}

/// Accepts connections until told to stop, then lets each finish what it is answering.
async fn accept(listener: TcpListener, app: Arc<App>, stop: CancellationToken) {
    let router = http::router(Arc::clone(&app));
    let graceful = GracefulShutdown::new();
    let guests = Guests::new(app.config.max_connections.get());
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config.header_timeout);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
    let serve = |stream: TcpStream, guest: Guest| {
        // Answers are small and complete when they are written.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(FirstBytes::new(stream, app.config.header_timeout));
        let guest = Arc::new(guest);
        let (routes, host) = (TowerToHyperService::new(router.clone()), Arc::clone(&guest));
        let service = service_fn(move |request| {
            let (in_flight, answer) = (host.request(), routes.call(request));
            async move {
                let _in_flight = in_flight;
                answer.await
            }
        });
        let watched = graceful.watch(builder.serve_connection(io, service).into_owned());
        tokio::spawn(async move {
            tokio::select! {
                // Resets, timeouts and bad framing are the client's affair.
                ended = watched => if let Err(error) = ended {
                    tracing::debug!(error = error.to_string(), "connection ended");
                },
                () = guest.asked_to_leave() => tracing::debug!("an idle connection made room"),
            }
        });
    };
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            next = connection(&listener, &guests) => next,
        };
        match next {
            Ok((stream, guest)) => serve(stream, guest),
            Err(error) => {
                // Out of file descriptors, as a rule: one that only waits gives its own up.
                guests.send_one_away();
                tracing::warn!(error = error.to_string(), "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // What the kernel has accepted already would be reset with the listener; what comes later is refused.
    while let Some(Ok((stream, guest))) = at_once(connection(&listener, &guests)).await {
        serve(stream, guest);
    }
    drop(listener);
    tokio::time::sleep(LAST_REQUESTS).await;
    graceful.shutdown().await;
}

async fn connection(listener: &TcpListener, guests: &Arc<Guests>) -> io::Result<(TcpStream, Guest)> {
    let (stream, _) = listener.accept().await?;
    Ok((stream, guests.admit().await))
}

/// The future's output if it is there without waiting.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

/// The configuration as it is in force. It holds no secrets.
fn log_config(config: &Config, cuda: bool) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %config.listen,
        model = %config.model.model.display(),
        device = %config.model.device,
        cpus = config.cpus,
        workers = config.workers(cuda),
        threads = config.model.threads,
        decode_threads = config.decode_threads,
        max_batch = config.max_batch,
        batch_linger = ?config.batch_linger,
        queue = config.queue(cuda),
        max_in_flight = config.max_in_flight(cuda),
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
        "configuration"
    );
}
