//! A machine that runs out of things, and files that change under the server.

use std::{fs, net::TcpListener, process::Stdio, time::Duration};

use fer_engine::{Classifier, ModelFolder, TorchScript};
use reqwest::{Client, Method};
use tokio::net::TcpStream;

use super::Others;
use crate::{
    process::{Process, program},
    support::{Raw, model, pictures, raw},
};

#[tokio::test]
async fn out_of_file_descriptors_it_goes_on() {
    let model = model::tiny();
    let mut process = Process::start_under("ulimit -n 80", model.path(), &["--header-timeout", "1h"]).await;
    let mut idle = Vec::new();
    for _ in 0..150 {
        idle.push(TcpStream::connect(process.address).await.unwrap());
    }
    process.logged("cannot accept a connection").await;
    // Those that only wait give theirs up, one for each that could not be accepted.
    Others::start(process.address).all_answered().await;
    drop(idle);
    Others::start(process.address).all_answered().await;
    process.get("/readyz").await.ok();
}

/// Nothing can be logged: a full disk, or a reader that is gone.
#[tokio::test]
async fn a_log_that_cannot_be_written_is_no_reason_to_stop() {
    let model = model::tiny();
    for full in [true, false] {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = if full {
            fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap()
                .into()
        } else {
            Stdio::piped()
        };
        let mut child = program()
            .args([
                "run",
                "--workers",
                "1",
                "--log",
                "debug",
                "--listen",
                &address.to_string(),
                "--model",
            ])
            .arg(model.path())
            .stderr(log)
            .spawn()
            .unwrap();
        // The other end of the pipe is gone from here on.
        drop(child.stderr.take());
        let client = Client::builder().no_proxy().build().unwrap();
        let ready = async || {
            let answer = client.get(format!("http://{address}/readyz")).send().await;
            answer.is_ok_and(|answer| answer.status() == 200)
        };
        while !ready().await {
            assert_eq!(child.try_wait().unwrap(), None, "it ended (full disk: {full})");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // A failure of the inside has much to log.
        let mut gray = [9; 48 * 48];
        gray[..2].copy_from_slice(&[255, 0]);
        let bad = pictures::gray_png(&gray);
        let answer = client
            .post(format!("http://{address}/predict"))
            .body(bad)
            .send()
            .await;
        assert_eq!(answer.unwrap().status(), 500);
        Others::start(address).all_answered().await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// After a panic a worker builds its engine anew, perhaps long after the folder has changed.
#[test]
fn an_engine_is_built_from_the_weights_that_were_checked() {
    let model = model::tiny();
    let folder = ModelFolder::open(model.path()).unwrap();
    let faces = fer_engine::drawn_faces(3);
    let logits = |folder| {
        TorchScript::load(folder, tch::Device::Cpu)
            .unwrap()
            .classify(&faces)
            .unwrap()
    };
    let before = logits(&folder);
    fs::write(model.path().join("model.pt"), b"something else").unwrap();
    assert_eq!(logits(&folder), before);
    fs::remove_file(model.path().join("model.pt")).unwrap();
    assert_eq!(logits(&folder), before);
}

/// The folder is emptied, then filled with something else, under a server that runs.
#[tokio::test]
async fn the_models_files_may_go_or_change_while_it_runs() {
    let model = model::tiny();
    let mut process = Process::start(model.path(), &["--engine", "torchscript"]).await;
    let answer = async |process: &Process| {
        let png = pictures::face_png(0.25);
        let mut raw = Raw::connect(process.address).await;
        let length = [("content-length", &*png.len().to_string())];
        raw.send(raw::head(&Method::POST, "/predict", &length)).await;
        raw.send(png).await;
        raw.answer(&Method::POST, "/predict").await.ok()
    };
    let before = answer(&process).await;
    let weights = model.path().join("model.pt");
    let good = fs::read(&weights).unwrap();

    // Overwritten in place, as a copy over it does.
    fs::write(&weights, vec![0; good.len()]).unwrap();
    assert_eq!(answer(&process).await, before);
    process.signal("HUP");
    let refused = process
        .logged("the new model was refused; the old one goes on")
        .await;
    assert!(
        refused["error"].as_str().unwrap().contains("SHA-256"),
        "{refused}"
    );
    assert_eq!(answer(&process).await, before);

    fs::remove_file(&weights).unwrap();
    process.signal("HUP");
    let refused = process
        .logged("the new model was refused; the old one goes on")
        .await;
    assert!(
        refused["error"].as_str().unwrap().contains("cannot read"),
        "{refused}"
    );
    assert_eq!(answer(&process).await, before);
    let metrics = process.get("/metrics").await;
    assert!(
        metrics
            .text()
            .contains("fer_model_reloads_total{result=\"failure\"} 2\n"),
        "{}",
        metrics.text()
    );

    fs::write(&weights, good).unwrap();
    process.signal("HUP");
    process.logged("model loaded and warmed up").await;
    assert_eq!(answer(&process).await, before);
}
