//! Peak memory and time of the real process for each bomb.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use reqwest::Client;

use super::{bombs, status};
use crate::{
    process::Process,
    support::{model, pictures},
};

const MIB: u64 = 1 << 20;
/// Pixels allowed here: few, so that the test is quick; what is measured grows with it.
const MAX_PIXELS: u64 = 1_000_000;
/// The stated bound on what one hostile body may add to the server: three times the longest body of 20 MiB (as it came,
/// joined, its base64), and what the allocator rounds up.
const SERVER: u64 = 3 * 20 * MIB + 16 * MIB;
/// The stated bound on what it may add to the decoders: the file of up to 20 MiB and twice that for a chunk of it, 16 bytes for each allowed pixel, the 24 MiB
/// of a decoder of small images, and a step of the limit of their address space.
const DECODERS: u64 = 3 * 20 * MIB + MAX_PIXELS * 16 + 24 * MIB + 32 * MIB;

/// The most memory of their own that the children of a process have together, until the flag is set.
fn watch_children(pid: u32, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut most = 0;
        while !stop.load(Ordering::Relaxed) {
            let threads = fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten()
                .flatten();
            let children = threads.filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
            let own = children.collect::<String>();
            let sizes = own.split_whitespace().filter_map(|child| {
                let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
                let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"))?;
                line.split_whitespace().next()?.parse::<u64>().ok()
            });
            most = most.max(1024 * sizes.sum::<u64>());
            std::thread::sleep(Duration::from_millis(1));
        }
        most
    })
}

#[tokio::test]
async fn no_body_takes_more_memory_than_stated() {
    let model = model::tiny();
    let max_pixels = MAX_PIXELS.to_string();
    let flags = [
        "--max-pixels",
        &*max_pixels,
        "--decode-threads",
        "1",
        "--request-timeout",
        "5m",
    ];
    let process = Process::start(model.path(), &flags).await;
    let (pid, url) = (process.child.id(), format!("http://{}/predict", process.address));
    let client = Client::builder().no_proxy().build().unwrap();
    let send = async |content_type: &'static str, body: Vec<u8>| {
        let request = client.post(&url).header("content-type", content_type).body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(send("image/png", pictures::face_png(0.0)).await.0, 200);
    let idle = status(&process, "VmRSS");
    let mut wrong = Vec::new();
    println!("| body | sent | status | server | decoders | time |\n| --- | --- | --- | --- | --- | --- |");
    for bomb in bombs::all() {
        let sent = bomb.body.len();
        // Sets the mark for the peak to what is held now, which counts too: memory that was used before is not
        // all given back.
        fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        let stop = Arc::<AtomicBool>::default();
        let children = watch_children(pid, Arc::clone(&stop));
        let began = Instant::now();
        let (status_code, text) = send(bomb.content_type, bomb.body).await;
        let took = began.elapsed();
        stop.store(true, Ordering::Relaxed);
        let decoders = children.join().unwrap();
        let grew = status(&process, "VmHWM").saturating_sub(idle);
        println!(
            "| {} | {} kB | {status_code} | {} MB | {} MB | {} ms |",
            bomb.name,
            sent.div_ceil(1000),
            grew.div_ceil(1_000_000),
            decoders.div_ceil(1_000_000),
            took.as_millis()
        );
        if status_code != bomb.status {
            wrong.push(format!(
                "{}: {} is wanted: {status_code} {text}",
                bomb.name, bomb.status
            ));
        }
        if grew > SERVER {
            wrong.push(format!("{}: took {grew} bytes, more than {SERVER}", bomb.name));
        }
        if decoders > DECODERS {
            wrong.push(format!(
                "{}: took {decoders} bytes in decoders, more than {DECODERS}",
                bomb.name
            ));
        }
        assert_eq!(
            send("image/png", pictures::face_png(0.0)).await.0,
            200,
            "after {}",
            bomb.name
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
