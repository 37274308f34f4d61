//! Connections: accepted within a limit, served, and ended with what they are answering finished.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, http::Request};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
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
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    http::{
        self, App,
        access::Peer,
        admin::Port,
        connection::FirstBytes,
        guests::{Guest, Guests},
    },
    tls::Tls,
};

/// Pause after the system refused to accept a connection (it is out of file descriptors, as a rule).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// An HTTP/2 connection that does not answer a ping within hyper's 20 s is dropped.
const PING: Duration = Duration::from_secs(30);
/// Between the end of accepting and the closing of idle connections: requests that are on their way arrive
/// in it and are answered.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// Accepts connections until told to stop, then lets each finish what it is answering.
pub(super) async fn accept(listener: TcpListener, port: Port, app: Arc<App>, stop: CancellationToken) {
    let router = http::router(Arc::clone(&app), port);
    let graceful = GracefulShutdown::new();
    let guests = Guests::new(app.config.max_connections.get());
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config.header_timeout);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
    let serve = |stream: TcpStream, from: SocketAddr, guest: Arc<Guest>| {
        // Answers are small and complete when they are written.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            router: router.clone(),
            builder: builder.clone(),
            peer: Peer(from.ip()),
            time: app.config.header_timeout,
            watcher: graceful.watcher(),
            guest,
        };
        let acceptor = app.tls.as_ref().filter(|_| port == Port::Main).map(Tls::acceptor);
        tokio::spawn(connection.serve(stream, acceptor));
    };
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            next = connection(&listener, &guests) => next,
        };
        match next {
            Ok((stream, from, guest)) => serve(stream, from, guest),
            Err(error) => {
                // Out of file descriptors, as a rule: one that only waits gives its own up.
                guests.send_one_away();
                tracing::warn!(error = error.to_string(), "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // What the kernel has accepted already would be reset with the listener; what comes later is refused.
    while let Some(Ok((stream, from, guest))) = at_once(connection(&listener, &guests)).await {
        serve(stream, from, guest);
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
    guest: Arc<Guest>,
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

impl Connection {
    async fn serve(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        let guest = Arc::clone(&self.guest);
        tokio::select! {
            // Resets, timeouts, failed handshakes and bad framing are the client's affair.
            ended = self.open(stream, acceptor) => if let Err(error) = ended {
                tracing::debug!(error = error.to_string(), "connection ended");
            },
            () = guest.asked_to_leave() => tracing::debug!("a connection that only waited made room"),
        }
    }

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
        let (peer, guest) = (self.peer, self.guest);
        let routes = TowerToHyperService::new(self.router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let in_flight = guest.request();
            let answer = routes.call(request.map(|body| in_flight.body(body)));
            async move {
                let _in_flight = in_flight;
                answer.await
            }
        });
        let io = TokioIo::new(FirstBytes::new(stream, self.time));
        let connection = self.builder.serve_connection(io, service);
        self.watcher.watch(connection.into_owned()).await
    }
}

async fn connection(
    listener: &TcpListener,
    guests: &Arc<Guests>,
) -> io::Result<(TcpStream, SocketAddr, Arc<Guest>)> {
    let (stream, from) = listener.accept().await?;
    Ok((stream, from, guests.admit().await))
}

/// The future's output if it is there without waiting.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}
