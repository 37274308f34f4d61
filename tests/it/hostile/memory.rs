//! Peak memory and time of the real process for each bomb.

use std::{fs, time::Instant};

use reqwest::Client;

use super::{bombs, status};
use crate::{
    process::Process,
    support::{model, pictures},
};

const MIB: u64 = 1 << 20;
/// Pixels allowed here: few, so that the test is quick; what is measured grows with it.
const MAX_PIXELS: u64 = 1_000_000;
/// The stated bound on what one hostile body may add: 16 bytes for each allowed pixel and 4 MiB
/// (`image::Limits`), three times the longest body of 20 MiB (as it came, joined, its base64), and what the
/// allocator rounds up.
const BOUND: u64 = MAX_PIXELS * 16 + 4 * MIB + 3 * 20 * MIB + 16 * MIB;

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
    println!("| body | sent | status | peak | time |\n| --- | --- | --- | --- | --- |");
    for bomb in bombs::all() {
        let sent = bomb.body.len();
        // Sets the mark for the peak to what is held now, which counts too: memory that was used before is not
        // all given back.
        fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        let began = Instant::now();
        let (status_code, text) = send(bomb.content_type, bomb.body).await;
        let took = began.elapsed();
        let grew = status(&process, "VmHWM").saturating_sub(idle);
        println!(
            "| {} | {} kB | {status_code} | {} MB | {} ms |",
            bomb.name,
            sent.div_ceil(1000),
            grew.div_ceil(1_000_000),
            took.as_millis()
        );
        if status_code != bomb.status {
            wrong.push(format!(
                "{}: {} is wanted: {status_code} {text}",
                bomb.name, bomb.status
            ));
        }
        if grew > BOUND {
            wrong.push(format!("{}: took {grew} bytes, more than {BOUND}", bomb.name));
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
