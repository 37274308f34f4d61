//! HTTP/1.1 clients that are slow, rude or broken.

use std::{net::SocketAddr, time::Duration};

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Others, descriptors};
use crate::{
    process::Process,
    support::{Raw, model, pictures, raw},
};

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// All that comes until the end of the connection, however it ends.
async fn to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        all.extend(&buffer[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn head(length: usize) -> String {
    raw::head(
        &Method::POST,
        "/predict",
        &[("content-length", &length.to_string())],
    )
}

/// A byte now and then, for ever: what each connection got in the end.
async fn drip(address: SocketAddr, start: String) -> String {
    let (mut read, mut write) = connect(address).await.into_split();
    let dripping = tokio::spawn(async move {
        if write.write_all(start.as_bytes()).await.is_err() {
            return;
        }
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut all = Vec::new();
    let _ = read.read_to_end(&mut all).await;
    dripping.abort();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn heads_and_bodies_that_drip_are_cut_off_while_others_are_answered() {
    let model = model::tiny();
    // A body on its way takes nobody's place.
    let flags = [
        "--header-timeout",
        "400ms",
        "--body-timeout",
        "400ms",
        "--max-in-flight",
        "6",
    ];
    let process = Process::start(model.path(), &flags).await;
    let others = Others::start(process.address);
    let mut slow = tokio::task::JoinSet::new();
    for n in 0..60 {
        let (start, wanted) = match n % 3 {
            0 => ("PO".to_owned(), ""),
            1 => ("POST /predict HTTP/1.1\r\nhost: x\r\nx-slow: ".to_owned(), ""),
            _ => (head(1 << 20), "HTTP/1.1 408 "),
        };
        let address = process.address;
        slow.spawn(async move { (drip(address, start).await, wanted) });
    }
    while let Some(ended) = slow.join_next().await {
        let (answer, wanted) = ended.unwrap();
        assert!(answer.starts_with(wanted), "{wanted:?} is wanted: {answer}");
    }
    others.all_answered().await;
}

#[tokio::test]
async fn a_reset_in_any_phase_leaves_nothing_behind() {
    let model = model::tiny();
    let process = Process::start(model.path(), &[]).await;
    let png = pictures::face_png(0.0);
    let head = head(png.len());
    let whole = [head.as_bytes(), &png].concat();
    // So that what the first request sets up is not counted.
    Others::start(process.address).all_answered().await;
    let before = descriptors(&process);
    let others = Others::start(process.address);
    for cut in [
        0,
        1,
        23,
        head.len() / 2,
        head.len(),
        head.len() + png.len() / 2,
        whole.len(),
    ] {
        for reads in [0, 1] {
            for _ in 0..10 {
                let mut stream = connect(process.address).await;
                stream.write_all(&whole[..cut]).await.unwrap();
                if cut == whole.len() {
                    // Some leave in the middle of the answer.
                    let _ = stream.read(&mut [0; 9][..reads * 9]).await;
                }
                stream.set_zero_linger().unwrap();
            }
        }
    }
    others.all_answered().await;
    // One connection of the tests' own client may still be open.
    while descriptors(&process) > before + 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A client may say that it will send no more (`shutdown`) and still read.
#[tokio::test]
async fn a_half_closed_connection_is_not_held() {
    let model = model::tiny();
    let process = Process::start(model.path(), &["--header-timeout", "1h", "--body-timeout", "1h"]).await;
    let png = pictures::face_png(0.0);
    let whole = [head(png.len()).as_bytes(), &png].concat();
    for cut in [0, 30, whole.len() - 1] {
        let mut stream = connect(process.address).await;
        stream.write_all(&whole[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        // Were it held, this would not come to an end.
        let answer = to_end(&mut stream).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    Others::start(process.address).all_answered().await;
}

#[tokio::test]
async fn a_body_of_another_length_than_declared_spoils_its_own_connection_only() {
    let model = model::tiny();
    let process = Process::start(model.path(), &[]).await;
    let png = pictures::face_png(0.0);
    // Longer: what follows is taken for a request, which it is not.
    let mut stream = connect(process.address).await;
    let body = [&png[..], &[b'x'; 5000], b"\r\n\r\n"].concat();
    stream
        .write_all(&[head(png.len()).as_bytes(), &body].concat())
        .await
        .unwrap();
    let answers = to_end(&mut stream).await;
    assert!(answers.starts_with("HTTP/1.1 200 "), "{answers}");
    assert!(answers.contains("HTTP/1.1 400 "), "{answers}");
    // A chunk that is not one, a length that is none, both kinds at once.
    for (name, value, body, wanted) in [
        ("transfer-encoding", "chunked", "zz\r\n", "HTTP/1.1 400 "),
        ("content-length", "-1", "", "HTTP/1.1 400 "),
        ("content-length", "1, 2", "x", "HTTP/1.1 400 "),
        ("transfer-encoding", "gzip", "x", "HTTP/1.1 400 "),
    ] {
        let mut stream = connect(process.address).await;
        let head = raw::head(&Method::POST, "/predict", &[(name, value)]);
        stream.write_all((head + body).as_bytes()).await.unwrap();
        let answer = to_end(&mut stream).await;
        assert!(answer.starts_with(wanted), "{name}: {value}: {answer}");
    }
    Others::start(process.address).all_answered().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let model = model::tiny();
    let process = Process::start(model.path(), &[]).await;
    let png = pictures::face_png(0.0);
    let mut all = Vec::new();
    for n in 0..40 {
        let id = format!("id-{n}");
        let headers = [
            ("content-length", &*png.len().to_string()),
            ("x-request-id", &*id),
        ];
        all.extend(raw::head(&Method::POST, "/predict", &headers).as_bytes());
        all.extend(&png);
    }
    let mut raw = Raw::connect(process.address).await;
    raw.send(all).await;
    for n in 0..40 {
        let answer = raw.answer(&Method::POST, "/predict").await;
        answer.ok();
        assert_eq!(answer.header("x-request-id"), format!("id-{n}"));
    }
}

#[tokio::test]
async fn too_many_or_too_long_headers_are_refused() {
    let model = model::tiny();
    let process = Process::start(model.path(), &[]).await;
    let others = Others::start(process.address);
    let many = "x: y\r\n".repeat(2000);
    let long = format!("x: {}\r\n", "y".repeat(2 << 20));
    for lines in [many, long] {
        let mut stream = connect(process.address).await;
        let head = format!("GET /livez HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
        // It may be refused before all of it is sent.
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = to_end(&mut stream).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
            "{answer}"
        );
    }
    others.all_answered().await;
}

/// Three times as many as may be open: those that only wait make room for those that ask.
#[tokio::test]
async fn idle_connections_keep_nobody_out() {
    let model = model::tiny();
    let flags = ["--max-connections", "100", "--header-timeout", "1h"];
    let process = Process::start(model.path(), &flags).await;
    let before = descriptors(&process);
    let mut idle = Vec::new();
    for n in 0..300 {
        let mut stream = connect(process.address).await;
        if n % 2 == 0 {
            stream.write_all(b"GET /livez HTTP/1.1\r\nhost: ").await.unwrap();
        }
        idle.push(stream);
    }
    Others::start(process.address).all_answered().await;
    // The first to come was the first to go.
    assert_eq!(to_end(&mut idle[0]).await, "");
    let open = descriptors(&process);
    assert!(open <= before + 110, "{open} descriptors, {before} before");
}

/// Bodies that never come, on three times as many connections as may be open.
#[tokio::test]
async fn bodies_that_never_come_keep_nobody_out() {
    let model = model::tiny();
    let flags = ["--max-connections", "20", "--body-timeout", "1h"];
    let process = Process::start(model.path(), &flags).await;
    let mut waiting = Vec::new();
    for n in 0..60 {
        let mut stream = connect(process.address).await;
        stream.write_all(head(10).as_bytes()).await.unwrap();
        stream.write_all(&b"body"[..n % 4]).await.unwrap();
        waiting.push(stream);
    }
    Others::start(process.address).all_answered().await;
    assert_eq!(to_end(&mut waiting[0]).await, "");
}

/// Streams of HTTP/2 whose window is closed: the answers wait in the server, which counts them in `--max-buffered`.
#[tokio::test]
async fn answers_that_nobody_takes_hold_their_share_of_memory() {
    let model = model::tiny();
    let flags = ["--max-body", "64Ki", "--max-buffered", "64Ki"];
    let process = Process::start(model.path(), &flags).await;
    let client = |window| {
        let builder = reqwest::Client::builder().no_proxy();
        builder
            .http2_prior_knowledge()
            .http2_initial_stream_window_size(window)
            .build()
            .unwrap()
    };
    // 3 KiB each, and an answer of less than 1 KiB.
    let gray = [b"P5 48 48 255\n".as_slice(), &[9; 48 * 48]].concat();
    let infer = json!({"inputs": [
        {"name": "image", "datatype": "UINT8", "shape": [1, 1, 48, 48], "data": vec![7; 48 * 48]},
    ]});
    let bodies = [
        ("/predict", gray.clone()),
        ("/faces", gray),
        ("/v2/models/tiny/infer", infer.to_string().into_bytes()),
    ];
    let taken = client(1 << 20);
    let ask = async |client: &reqwest::Client, n: usize| {
        let (path, body) = bodies[n % bodies.len()].clone();
        let url = format!("http://{}{path}", process.address);
        client.post(url).body(body).send().await.unwrap()
    };
    // The window is one byte: the connection takes the answer from its body, and cannot send it.
    for window in [0_u32, 1] {
        let slow = client(window);
        let mut held = Vec::new();
        loop {
            let answer = ask(&slow, held.len()).await;
            if answer.status() == 503 {
                break;
            }
            assert_eq!(answer.status(), 200);
            held.push(answer);
            assert!(held.len() < 64, "more answers than there is memory for");
        }
        assert!(held.len() > 50, "{} answers of 1 KiB in 64 KiB", held.len());
        assert_eq!(ask(&taken, 2).await.status(), 503);
        drop((held, slow));
        while ask(&taken, 2).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
