//! Connections: accepted within a limit, served, and ended with what they are answering finished.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, http::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::{
    http::{self, App, access::Peer, admin::Port, connection::FirstBytes},
    tls::Tls,
};

/// Pause after the system refused to accept a connection (it is out of file descriptors, as a rule).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// An HTTP/2 connection that does not answer a ping within hyper's 20 s is dropped.
const PING: Duration = Duration::from_secs(30);
/// Between the end of accepting and the closing of idle connections: requests that are on their way arrive
/// in it and are answered.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// A place among `--max-connections`, held as long as the connection.
type Place = OwnedSemaphorePermit;

/// Accepts connections until told to stop, then lets each finish what it is answering.
pub(super) async fn accept(listener: TcpListener, port: Port, app: Arc<App>, stop: CancellationToken) {
    let router = http::router(Arc::clone(&app), port);
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(
        app.config.max_connections.get().min(Semaphore::MAX_PERMITS),
    ));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config.header_timeout);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
    let serve = |stream: TcpStream, from: SocketAddr, place: Place| {
        // Answers are small and complete when they are written.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            router: router.clone(),
            builder: builder.clone(),
            peer: Peer(from.ip()),
            time: app.config.header_timeout,
            watcher: graceful.watcher(),
        };
        let acceptor = app.tls.as_ref().filter(|_| port == Port::Main).map(Tls::acceptor);
        tokio::spawn(async move {
            let _place = place;
            // Resets, timeouts, failed handshakes and bad framing are the client's affair.
            if let Err(error) = connection.open(stream, acceptor).await {
                tracing::debug!(error = error.to_string(), "connection ended");
            }
        });
    };
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            next = connection(&listener, &room) => next,
        };
        match next {
            Ok((stream, from, place)) => serve(stream, from, place),
            Err(error) => {
                tracing::warn!(error = error.to_string(), "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // What the kernel has accepted already would be reset with the listener; what comes later is refused.
    while let Some(Ok((stream, from, place))) = at_once(connection(&listener, &room)).await {
        serve(stream, from, place);
    }
    drop(listener);
    tokio::time::sleep(LAST_REQUESTS).await;
    graceful.shutdown().await;
}

/// What a connection needs.
struct Connection {
    router: Router,
    builder: auto::Builder<TokioExecutor>,
    peer: Peer,
    /// For the handshake, for the first bytes, and for every head.
    time: Duration,
    watcher: Watcher,
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

impl Connection {
    async fn open(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) -> Ended {
        match acceptor {
            None => self.converse(stream).await,
            Some(acceptor) => {
                let stream = tokio::time::timeout(self.time, acceptor.accept(stream)).await??;
                self.converse(stream).await
            }
        }
    }

    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Ended {
        let peer = self.peer;
        let service = self.router.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        let io = TokioIo::new(FirstBytes::new(stream, self.time));
        let connection = self.builder.serve_connection(io, TowerToHyperService::new(service));
        self.watcher.watch(connection.into_owned()).await
    }
}

async fn connection(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, Place)> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, from) = listener.accept().await?;
    Ok((stream, from, place))
}

/// The future's output if it is there without waiting.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}
