//! Connections: accepted within a limit, served, and ended with what they are answering finished.

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

use crate::{
    http::{
        self, App,
        access::Peer,
        admin::Port,
        guests::{Guest, Guests},
    },
    tls::Tls,
};

/// Pause after the system refused to accept a connection (it is out of file descriptors, as a rule).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// An HTTP/2 connection that does not answer a ping within hyper's 20 s is dropped.
const PING: Duration = Duration::from_secs(30);
/// Between the end of accepting and the closing of idle connections, and from the beginning of a later one to its end
/// should it stay idle: requests that are on their way arrive in it and are answered.
const LAST_REQUESTS: Duration = Duration::from_millis(100);
/// Most connections that the kernel keeps ready to be accepted: the length that tokio gives its queue.
const BACKLOG: usize = 1024;

/// Accepts connections until told to stop, then lets each finish what it is answering.
pub(super) async fn accept(listener: TcpListener, port: Port, app: Arc<App>, stop: CancellationToken) {
    let guests = Guests::new(app.config.max_connections.get());
    let reception = Reception::new(http::router(Arc::clone(&app), port), app.config.header_timeout);
    let tls = move || app.tls.as_ref().filter(|_| port == Port::Main).map(Tls::acceptor);
    receive(listener, guests, reception, tls, stop).await;
}

/// A connection that has no place yet, and its other end.
type Newcomer = (TcpStream, SocketAddr);

async fn receive(
    listener: TcpListener,
    guests: Arc<Guests>,
    reception: Reception,
    tls: impl Fn() -> Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    let (reception, tasks) = (Arc::new(reception), TaskTracker::new());
    let serve =
        |(stream, from): Newcomer, guest| Arc::clone(&reception).serve(stream, Peer(from.ip()), guest, tls());
    let mut late = Vec::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            // Who has been accepted is not let go of, whatever ends the wait.
            Ok(newcomer) => tokio::select! {
                biased;
                guest = guests.admit() => drop(tasks.spawn(serve(newcomer, guest))),
                () = stop.cancelled() => {
                    late.push(newcomer);
                    break;
                }
            },
            Err(error) => {
                // Out of file descriptors, as a rule: one that only waits gives its own up.
                guests.send_one_away();
                tracing::warn!(error = error.to_string(), "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // What the kernel has accepted already would be reset with the listener; what comes later is refused.
    late.extend(accepted_already(listener));
    for newcomer in late {
        let (reception, guests, tls) = (Arc::clone(&reception), Arc::clone(&guests), tls());
        tasks.spawn(async move {
            let guest = guests.admit().await;
            let (stream, from) = newcomer;
            reception.serve(stream, Peer(from.ip()), guest, tls).await;
        });
    }
    tokio::time::sleep(LAST_REQUESTS).await;
    reception.end.cancel();
    tasks.close();
    tasks.wait().await;
}

/// Takes what is in the listener's queue and closes it.
fn accepted_already(listener: TcpListener) -> Vec<Newcomer> {
    // tokio might not have heard of all of them yet; the system knows. It does not block: tokio's sockets do not.
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

/// What all connections of a port need.
struct Reception {
    router: Router,
    builder: auto::Builder<TokioExecutor>,
    /// For every head; for the first one counted from the connection's beginning, the handshake included. Idle connections
    /// are closed after it.
    time: Duration,
    /// Nothing more is to be asked.
    end: CancellationToken,
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

impl Reception {
    fn new(router: Router, time: Duration) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(time);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
        Self {
            router,
            builder,
            time,
            end: CancellationToken::new(),
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: Peer,
        guest: Arc<Guest>,
        tls: Option<TlsAcceptor>,
    ) {
        // Answers are small and complete when they are written.
        let _ = stream.set_nodelay(true);
        tokio::select! {
            // First: what has arrived already is answered, even if the place is wanted by another.
            biased;
            // Resets, timeouts, failed handshakes and bad framing are the client's affair.
            ended = self.open(stream, peer, &guest, tls) => if let Err(error) = ended {
                tracing::debug!(error = error.to_string(), "connection ended");
            },
            () = guest.asked_to_leave() => tracing::debug!("a connection that only waited made room"),
        }
    }

    async fn open(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        guest: &Arc<Guest>,
        tls: Option<TlsAcceptor>,
    ) -> Ended {
        match tls {
            None => self.converse(stream, peer, guest).await,
            Some(acceptor) => {
                let stream = tokio::select! {
                    stream = acceptor.accept(stream) => stream?,
                    () = guest.idle_for(self.time) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                };
                self.converse(stream, peer, guest).await
            }
        }
    }

    async fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        guest: &Arc<Guest>,
    ) -> Ended {
        let routes = TowerToHyperService::new(self.router.clone());
        let asking = Arc::clone(guest);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let in_flight = asking.request();
            let answer = routes.call(request.map(|body| in_flight.body(body)));
            async move {
                let _in_flight = in_flight;
                answer.await
            }
        });
        let io = TokioIo::new(stream);
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let idle = tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = self.last_requests() => false,
            // hyper has timers for HTTP/1 only, and none before it knows which of the two is spoken.
            () = guest.idle_for(self.time) => true,
        };
        if !idle {
            connection.as_mut().graceful_shutdown();
            return connection.await;
        }
        if guest.has_asked() {
            connection.as_mut().graceful_shutdown();
            // Who takes neither the farewell nor the last answer has had time for both.
            tokio::select! {
                biased;
                ended = connection.as_mut() => return ended,
                () = guest.idle_for(self.time.saturating_mul(2)) => {}
            }
        }
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    /// Comes back when no more requests are waited for on a connection that begins now.
    async fn last_requests(&self) {
        let start = Instant::now();
        self.end.cancelled().await;
        tokio::time::sleep_until(start + LAST_REQUESTS).await;
    }
}

#[cfg(test)]
mod tests;
