//! Connections before a router made for the purpose.

use axum::routing::get;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Semaphore, mpsc},
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
async fn who_waits_for_a_place_at_the_end_is_still_answered() {
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
    let reception = Reception::new(router, FOR_EVER);
    let receiving = tokio::spawn(receive(
        listener,
        Guests::new(1),
        reception,
        || None,
        stop.clone(),
    ));
    let first = asked(address, "/work").await;
    busy.recv().await.unwrap();
    // One is accepted and waits for its place, the others are in the kernel's queue.
    let mut waiting = Vec::new();
    for path in ["/", "/work", "/"] {
        waiting.push(asked(address, path).await);
    }
    stop.cancel();
    // Long past the end of accepting: there is nobody left to connect to.
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(LAST_REQUESTS).await;
    }
    open.add_permits(1);
    assert!(answer(first).await.ends_with("done"));
    for (stream, wanted) in waiting.into_iter().zip(["here", "done", "here"]) {
        assert!(answer(stream).await.ends_with(wanted));
    }
    receiving.await.unwrap();
}
