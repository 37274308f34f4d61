//! HTTP/2 written by hand: floods that a client library would not send.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Others, status};
use crate::{process::Process, support::model};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET /livez` in HPACK: three entries of the static table's names and a literal path.
const LIVEZ: &[u8] = b"\x82\x86\x04\x06/livez\x01\x01x";

/// What a flood may add to the process's memory.
const BOUND: u64 = 48 << 20;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let start = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        &frame(SETTINGS, 0, 0, &[]),
    ]
    .concat();
    stream.write_all(&start).await.unwrap();
    stream
}

/// Sends the frames in pieces and reads meanwhile; tells whether the server took its leave (GOAWAY or the end).
async fn flood(address: SocketAddr, frames: Vec<u8>, reads: bool) -> bool {
    let (mut read, mut write) = connect(address).await.into_split();
    let writing = tokio::spawn(async move {
        for piece in frames.chunks(1 << 16) {
            if write.write_all(piece).await.is_err() {
                return None;
            }
        }
        Some(write)
    });
    if !reads {
        // Until there is no room left to write, or all is written.
        let written = tokio::time::timeout(std::time::Duration::from_millis(500), writing).await;
        return matches!(written, Ok(Ok(None)));
    }
    let mut all = Vec::new();
    let mut buffer = [0; 1 << 16];
    let mut rest = 0;
    loop {
        // Frame by frame: is one of them the farewell?
        while let Some(&[a, b, c, kind, ..]) = all.get(rest..rest + 9) {
            if kind == GOAWAY {
                return true;
            }
            rest += 9 + u32::from_be_bytes([0, a, b, c]) as usize;
        }
        match read.read(&mut buffer).await {
            Ok(count @ 1..) => all.extend(&buffer[..count]),
            _ => return true,
        }
        // The answer to the last ping: it has taken all of it.
        if all.windows(8).any(|w| w == b"the last") {
            return false;
        }
    }
}

/// All of these, each followed by a ping that is answered if the server puts up with them.
async fn held_off(name: &str, frames: Vec<u8>, reads: bool, must_leave: bool) {
    let model = model::tiny();
    let process = Process::start(model.path(), &[]).await;
    Others::start(process.address).all_answered().await;
    let before = status(&process, "VmRSS");
    let others = Others::start(process.address);
    let sent = [frames, frame(PING, 0, 0, b"the last")].concat();
    let mut floods = tokio::task::JoinSet::new();
    for _ in 0..3 {
        floods.spawn(flood(process.address, sent.clone(), reads));
    }
    let left = floods.join_all().await;
    others.all_answered().await;
    if must_leave {
        assert_eq!(left, [true; 3], "{name} was put up with");
    }
    let grew = status(&process, "VmHWM").saturating_sub(before);
    eprintln!("{name}: {left:?}, {grew} bytes more at most");
    assert!(grew < BOUND, "{name} took {grew} bytes");
}

#[tokio::test]
async fn rapid_resets() {
    let mut frames = Vec::new();
    for n in 0..20_000_u32 {
        let stream = 2 * n + 1;
        frames.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, LIVEZ));
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    held_off("rapid resets", frames, true, false).await;
}

#[tokio::test]
async fn endless_continuations() {
    // A literal header without indexing, 4,000 bytes long, as often as it fits into a frame.
    let name = b"\0\x01a\x7f\xa1\x1e".to_vec();
    let header = [name, vec![b'b'; 4000]].concat();
    let mut frames = frame(HEADERS, END_STREAM, 1, LIVEZ);
    for _ in 0..2000 {
        frames.extend(frame(CONTINUATION, 0, 1, &header.repeat(4)));
    }
    held_off("continuations", frames, true, true).await;
}

#[tokio::test]
async fn empty_continuations() {
    let mut frames = frame(HEADERS, END_STREAM, 1, LIVEZ);
    for _ in 0..200_000 {
        frames.extend(frame(CONTINUATION, 0, 1, &[]));
    }
    held_off("empty continuations", frames, true, true).await;
}

#[tokio::test]
async fn pings_and_settings_that_nobody_reads_the_answers_of() {
    let mut frames = Vec::new();
    for _ in 0..200_000 {
        frames.extend(frame(PING, 0, 0, &[0; 8]));
        frames.extend(frame(SETTINGS, 0, 0, &[]));
    }
    held_off("pings and settings", frames, false, false).await;
}

/// One table entry of 4,000 bytes, then a head that names it a thousand times.
#[tokio::test]
async fn a_head_that_swells() {
    let entry = [b"\x40\x01a\x7f\xa1\x1e".to_vec(), vec![b'b'; 4000]].concat();
    let mut frames = frame(HEADERS, END_STREAM | END_HEADERS, 1, &[LIVEZ, &entry].concat());
    for n in 1..50_u32 {
        let block = [LIVEZ, &[0xBE; 16_000]].concat();
        frames.extend(frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &block));
    }
    held_off("a head that swells", frames, true, false).await;
}

/// It asks once, and then does nothing but answer pings.
#[tokio::test]
async fn an_idle_connection_is_closed_though_it_answers_pings() {
    let model = model::tiny();
    let process = Process::start(model.path(), &["--header-timeout", "400ms"]).await;
    let mut stream = connect(process.address).await;
    let asked = frame(HEADERS, END_STREAM | END_HEADERS, 1, LIVEZ);
    stream.write_all(&asked).await.unwrap();
    let mut head = [0; 9];
    // Were it not closed, this would not come to an end.
    while stream.read_exact(&mut head).await.is_ok() {
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            break;
        }
        if kind == PING && flags == 0 {
            let _ = stream.write_all(&frame(PING, 1, 0, &payload)).await;
        }
    }
    Others::start(process.address).all_answered().await;
}
