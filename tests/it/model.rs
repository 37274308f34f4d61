//! `GET /model`, which folders are taken and which are refused, and reloading.

use std::path::Path;

use fer_serve::server::Control;
use serde_json::{Value, json};

use crate::support::{Server, model, pictures};

#[tokio::test]
async fn the_card_says_what_answers_and_how() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    let answer = server.get("/model").await;
    assert_eq!(
        answer.ok(),
        json!({
            "name": "tiny", "version": "7",
            "labels": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
            "input": model::raw_input(), "scores": {"accuracy": 0.5}, "robustness": null,
            "engine": "torchscript", "precision": "f32", "device": "cpu",
        })
    );
    let order = [
        "name",
        "version",
        "labels",
        "input",
        "scores",
        "robustness",
        "engine",
        "precision",
        "device",
    ];
    let places: Vec<_> = order
        .iter()
        .map(|k| answer.text().find(&format!("\"{k}\":")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{}", answer.text());
}

#[tokio::test]
async fn a_folder_without_scores_has_null_for_them() {
    let folder = model::tiny();
    model::write_manifest(folder.path(), |m| {
        m.as_object_mut().unwrap().remove("scores").unwrap();
    });
    let server = Server::start(folder.path(), &[]).await;
    assert_eq!(server.get("/model").await.ok()["scores"], Value::Null);
}

/// What the server says instead of starting.
async fn refusal(folder: &Path) -> String {
    Server::start_unready(folder, &[])
        .await
        .ended()
        .await
        .unwrap_err()
}

#[track_caller]
fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[tokio::test]
async fn a_folder_that_is_not_as_it_should_be_is_refused_with_the_reason() {
    let folder = model::tiny();
    let path = folder.path();
    let spoil = |change: fn(&mut Value)| model::write_manifest(path, change);

    spoil(|m| m["labels"][0] = json!("happy"));
    assert_says(&refusal(path).await, &["--model", "model.json", "labels"]);
    spoil(|m| m["input"]["width"] = json!(64));
    assert_says(&refusal(path).await, &["model.json", "64×48×1", "48×48×1"]);
    spoil(|m| m["input"]["std"] = json!(0.0));
    assert_says(&refusal(path).await, &["model.json", "std"]);
    spoil(|m| m["name"] = json!(""));
    assert_says(&refusal(path).await, &["model.json", "name"]);
    spoil(|m| m["files"] = json!({}));
    assert_says(&refusal(path).await, &["model.json", "model.pt"]);
    spoil(|m| m["files"]["../x"] = json!({"sha256": "", "bytes": 0}));
    assert_says(&refusal(path).await, &["model.json", "../x"]);
    spoil(|m| m["files"]["model.pt"]["bytes"] = json!(1));
    assert_says(&refusal(path).await, &["model.pt", "bytes"]);
    spoil(|m| m["files"]["model.pt"]["sha256"] = json!("0".repeat(64)));
    assert_says(&refusal(path).await, &["model.pt", "SHA-256"]);
    std::fs::write(path.join("model.json"), "{").unwrap();
    assert_says(&refusal(path).await, &["model.json", "not a model manifest"]);

    // A file that is what the manifest says, and no TorchScript.
    std::fs::write(path.join("model.pt"), "weights").unwrap();
    spoil(|_| {});
    assert_says(&refusal(path).await, &["--model"]);
    std::fs::remove_file(path.join("model.pt")).unwrap();
    assert_says(&refusal(path).await, &["model.pt", "No such file"]);
    assert_says(
        &refusal(&path.join("nowhere")).await,
        &["nowhere", "No such file"],
    );
}

#[tokio::test]
async fn a_module_of_the_wrong_shape_is_refused_with_the_shape() {
    let five = model::folder(|x| x.flatten(1, -1).narrow(1, 0, 5));
    assert_says(&refusal(five.path()).await, &["[2, 5]", "[2, 7]"]);
    let single = model::folder(|x| x.flatten(1, -1).narrow(1, 0, 7).narrow(0, 0, 1));
    assert_says(&refusal(single.path()).await, &["[1, 7]", "[2, 7]"]);
}

/// The first load may have read what was there before the signal.
#[tokio::test]
async fn a_reload_asked_for_during_the_first_load_comes_after_it() {
    let (late, server) = model::Late::start(&[]).await;
    server.control(Control::Reload).await;
    let _folder = late.arrive();
    server.until("/readyz", |a| a.status == 200).await;
    let series = r#"fer_model_reloads_total{result="success"} 1"#;
    server.until("/metrics", |a| a.text().contains(series)).await;
}

#[tokio::test]
async fn a_new_model_takes_over_and_a_bad_one_does_not() {
    let folder = model::tiny();
    let server = Server::start(folder.path(), &[]).await;
    let png = pictures::face_png(0.4);
    let old = server.predict("image/png", png.clone()).await.ok();
    assert_eq!(old["model"]["version"], "7");

    model::write_manifest(folder.path(), |m| m["version"] = json!("8"));
    server.control(Control::Reload).await;
    server.until("/model", |a| a.json()["version"] == "8").await;
    let new = server.predict("image/png", png.clone()).await.ok();
    assert_eq!(new["model"]["version"], "8");
    assert_eq!(new["probabilities"], old["probabilities"]);
    let metrics = server.get("/metrics").await;
    assert_eq!(metrics.text().matches("\nfer_model_info{").count(), 1);
    assert!(metrics.text().contains("version=\"8\""));

    model::write_manifest(folder.path(), |m| {
        m["files"]["model.pt"]["sha256"] = json!("0".repeat(64));
    });
    server.control(Control::Reload).await;
    server
        .until("/metrics", |a| {
            a.text().contains("fer_model_reloads_total{result=\"failure\"} 1")
        })
        .await;
    assert_eq!(server.predict("image/png", png).await.ok(), new);
    assert_eq!(server.get("/readyz").await.status, 200);
    let metrics = server.get("/metrics").await;
    assert!(
        metrics
            .text()
            .contains("fer_model_reloads_total{result=\"success\"} 1")
    );
}
