//! Connections in front of a small router.

use axum::{body::Body, routing::get};
use http_body_util::BodyExt;
use hyper::client::conn as client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self,
        pki_types::{PrivateKeyDer, ServerName},
    },
};

use super::*;

/// Longer than any test runs.
const FOR_EVER: Duration = Duration::from_secs(3600);

async fn asked(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    all
}

#[tokio::test]
async fn a_connection_that_waits_for_a_permit_at_the_end_is_still_answered() {
    let (entered, mut busy) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let work = get(move || {
        let (entered, gate) = (entered.clone(), Arc::clone(&gate));
        async move {
            entered.send(()).unwrap();
            let _open = gate.acquire().await.unwrap();
            "done"
        }
    });
    let router = Router::new()
        .route("/work", work)
        .route("/", get(|| async { "here" }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let http = HttpServer::new(router, FOR_EVER);
    let accepting = tokio::spawn(accept(
        listener,
        ConnectionLimit::new(1),
        http,
        None,
        stop.clone(),
    ));
    let first = asked(address, "/work").await;
    busy.recv().await.unwrap();
    // One is accepted and waits for a permit, the others are in the kernel's queue.
    let mut waiting = Vec::new();
    for path in ["/", "/work", "/"] {
        waiting.push(asked(address, path).await);
    }
    stop.cancel();
    // Until the listener is closed.
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(LAST_REQUESTS).await;
    }
    open.add_permits(1);
    assert!(answer(first).await.ends_with("done"));
    for (stream, wanted) in waiting.into_iter().zip(["here", "done", "here"]) {
        assert!(answer(stream).await.ends_with(wanted));
    }
    accepting.await.unwrap();
}

/// The server's side of a connection in memory, and the client's.
fn conversation(time: Duration, tls: Option<TlsAcceptor>) -> (JoinHandle<Ended>, DuplexStream) {
    let (client, server) = tokio::io::duplex(1 << 16);
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/long", get(|| async { vec![b'x'; 1 << 20] }));
    let serving = tokio::spawn(async move {
        let connection = ConnectionLimit::new(1).admit().await;
        let peer = Peer([127, 0, 0, 1].into());
        let http = HttpServer::new(router, time);
        http.open(server, peer, &connection, tls).await
    });
    (serving, client)
}

const TIME: Duration = Duration::from_secs(75);

#[tokio::test(start_paused = true)]
async fn a_head_has_one_deadline_however_it_comes() {
    let long_head = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-more: ";
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for start in [&b""[..], b"GE", long_head, preface] {
        let begun = Instant::now();
        let (serving, mut client) = conversation(TIME, None);
        tokio::time::sleep(TIME * 9 / 10).await;
        client.write_all(start).await.unwrap();
        assert!(serving.await.unwrap().is_err());
        assert_eq!(begun.elapsed(), TIME, "{start:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_handshake_is_within_the_same_deadline() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let trusted = made.cert.der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![trusted.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let connector = TlsConnector::from(Arc::new(client));
    for shakes_hands in [false, true] {
        let begun = Instant::now();
        let (serving, stream) = conversation(TIME, Some(acceptor.clone()));
        tokio::time::sleep(TIME * 6 / 10).await;
        let _open = if shakes_hands {
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = connector.connect(name, stream).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
            (Some(stream), None)
        } else {
            (None, Some(stream))
        };
        assert!(serving.await.unwrap().is_err());
        assert_eq!(begun.elapsed(), TIME, "with a handshake: {shakes_hands}");
    }
}

/// Its client answers every ping and sends no more requests.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_on_http2_as_on_http1() {
    let (serving, stream) = conversation(TIME, None);
    let io = TokioIo::new(stream);
    let (mut sender, connection) = client::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let client = tokio::spawn(connection);
    for _ in 0..2 {
        tokio::time::sleep(TIME * 9 / 10).await;
        let request = Request::get("http://localhost/").body(Body::empty()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "here");
    }
    let asked = Instant::now();
    // With a GOAWAY, and not as an error.
    client.await.unwrap().unwrap();
    // The client may have hung up first.
    let _ = serving.await.unwrap();
    assert_eq!(asked.elapsed(), TIME);

    let (serving, mut stream) = conversation(TIME, None);
    let asked = Instant::now();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert!(all.ends_with("here"), "{all}");
    let _ = serving.await.unwrap();
    assert_eq!(asked.elapsed(), TIME);
}

/// Its client never reads the answer.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_is_disconnected() {
    let (serving, mut client) = conversation(TIME, None);
    let begun = Instant::now();
    client
        .write_all(b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(serving.await.unwrap().is_err());
    assert_eq!(begun.elapsed(), 2 * TIME);
}
