//! Accepts connections within a limit, serves them, and lets them finish their requests at the end.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, http::Request};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::connections::{Connection, ConnectionLimit};
use crate::{auth::Peer, tls::Tls};

/// Pause after the system failed to accept a connection, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Interval of HTTP/2 pings. A connection that does not answer within hyper's 20 s is dropped.
const PING: Duration = Duration::from_secs(30);
/// Time for requests that are on their way: from the end of accepting to the closing of idle connections, and for a
/// connection that begins later, from its beginning.
const LAST_REQUESTS: Duration = Duration::from_millis(100);
/// Most connections in the kernel's queue of the listener: the length that tokio sets.
const BACKLOG: usize = 1024;

/// A connection without a permit, and the address of its other end.
type Accepted = (TcpStream, SocketAddr);

/// Accepts connections until `stop`, then lets each finish the requests in flight.
pub(super) async fn accept(
    listener: TcpListener,
    limit: Arc<ConnectionLimit>,
    http: HttpServer,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
) {
    let (http, tasks) = (Arc::new(http), TaskTracker::new());
    let acceptor = || tls.as_deref().map(Tls::acceptor);
    let serve = |(stream, from): Accepted, connection| {
        Arc::clone(&http).serve(stream, Peer(from.ip()), connection, acceptor())
    };
    let mut late = Vec::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            // An accepted connection is kept, whichever branch ends the wait.
            Ok(accepted) => tokio::select! {
                biased;
                connection = limit.admit() => drop(tasks.spawn(serve(accepted, connection))),
                () = stop.cancelled() => {
                    late.push(accepted);
                    break;
                }
            },
            Err(error) => {
                // Usually for lack of file descriptors: an idle connection releases its own.
                limit.evict_idlest();
                tracing::warn!(error = error.to_string(), "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Closing the listener would reset the connections in the kernel's queue; later ones are refused.
    late.extend(drain_queue(listener));
    for (stream, from) in late {
        let (http, limit, tls) = (Arc::clone(&http), Arc::clone(&limit), acceptor());
        tasks.spawn(async move {
            let connection = limit.admit().await;
            http.serve(stream, Peer(from.ip()), connection, tls).await;
        });
    }
    tokio::time::sleep(LAST_REQUESTS).await;
    http.end.cancel();
    tasks.close();
    tasks.wait().await;
}

/// Accepts the connections in the listener's queue and closes it.
fn drain_queue(listener: TcpListener) -> Vec<Accepted> {
    // tokio may not know all of them yet, so the system is asked. This does not block, since tokio's sockets do not.
    let Ok(listener) = listener.into_std() else {
        return Vec::new();
    };
    let next = std::iter::from_fn(|| listener.accept().ok());
    next.take(BACKLOG)
        .filter_map(|(stream, from)| {
            stream.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(stream).ok()?, from))
        })
        .collect()
}

/// Speaks HTTP on the connections of a port.
pub(super) struct HttpServer {
    router: Router,
    builder: auto::Builder<TokioExecutor>,
    /// Time limit for a request's head; that of the first one begins with the connection, TLS handshake included. Idle
    /// connections are closed after it.
    head_timeout: Duration,
    /// Connections close once they are idle.
    end: CancellationToken,
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

impl HttpServer {
    pub(super) fn new(router: Router, head_timeout: Duration) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
        Self {
            router,
            builder,
            head_timeout,
            end: CancellationToken::new(),
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: Peer,
        connection: Arc<Connection>,
        tls: Option<TlsAcceptor>,
    ) {
        // Answers are small and complete when they are written.
        let _ = stream.set_nodelay(true);
        tokio::select! {
            // First: a request that has arrived is answered, even if the connection is evicted.
            biased;
            // Resets, timeouts, failed handshakes and bad framing are errors of the client.
            ended = self.open(stream, peer, &connection, tls) => if let Err(error) = ended {
                tracing::debug!(error = error.to_string(), "connection ended");
            },
            () = connection.evicted() => tracing::debug!("an idle connection was closed to admit another one"),
        }
    }

    async fn open(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        connection: &Arc<Connection>,
        tls: Option<TlsAcceptor>,
    ) -> Ended {
        match tls {
            None => self.speak(stream, peer, connection).await,
            Some(acceptor) => {
                let stream = tokio::select! {
                    stream = acceptor.accept(stream) => stream?,
                    () = connection.idle_for(self.head_timeout) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                };
                self.speak(stream, peer, connection).await
            }
        }
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        connection: &Arc<Connection>,
    ) -> Ended {
        let routes = TowerToHyperService::new(self.router.clone());
        let requests = Arc::clone(connection);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let guard = requests.request();
            let answer = routes.call(request.map(|body| guard.body(body)));
            async move {
                let _guard = guard;
                answer.await
            }
        });
        let io = TokioIo::new(stream);
        let mut serving = pin!(self.builder.serve_connection(io, service));
        let idle = tokio::select! {
            biased;
            ended = serving.as_mut() => return ended,
            () = self.no_more_requests() => false,
            // hyper has such a timeout only for HTTP/1, and only once it knows the protocol.
            () = connection.idle_for(self.head_timeout) => true,
        };
        if !idle {
            serving.as_mut().graceful_shutdown();
            return serving.await;
        }
        if connection.had_request() {
            serving.as_mut().graceful_shutdown();
            // A client that reads neither the GOAWAY nor its last answer is disconnected.
            tokio::select! {
                biased;
                ended = serving.as_mut() => return ended,
                () = connection.idle_for(self.head_timeout.saturating_mul(2)) => {}
            }
        }
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    /// Waits until a connection that begins now has to close once it is idle.
    async fn no_more_requests(&self) {
        let start = Instant::now();
        self.end.cancelled().await;
        tokio::time::sleep_until(start + LAST_REQUESTS).await;
    }
}

#[cfg(test)]
mod tests;
