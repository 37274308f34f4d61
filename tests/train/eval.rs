//! `fer-train eval` beyond its scores: temperature, robustness, plots, card.

use std::{fs, path::Path};

use serde_json::Value;

use super::support::{fer_train, labelled_csv, stderr, succeed};

/// Enough rows for a temperature.
const ROWS: usize = 140;

/// The shipped model in a folder that may be written to, and labelled rows beside it.
fn folder(dir: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../model");
    let model = dir.join("model");
    fs::create_dir(&model).unwrap();
    for file in ["model.pt", "model.safetensors", "model.int8.json"] {
        fs::copy(shipped.join(file), model.join(file)).unwrap();
    }
    // Without what was recorded, so that what is found was written here.
    let mut manifest: Value = serde_json::from_slice(&fs::read(shipped.join("model.json")).unwrap()).unwrap();
    for key in ["calibration", "scores", "robustness"] {
        manifest.as_object_mut().unwrap().remove(key);
    }
    fs::write(model.join("model.json"), manifest.to_string()).unwrap();
    fs::write(dir.join("rows.csv"), labelled_csv(ROWS, 3)).unwrap();
}

fn manifest(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("model/model.json")).unwrap()).unwrap()
}

fn eval(dir: &Path, flags: &[&str]) -> Value {
    let output = succeed(
        fer_train()
            .current_dir(dir)
            // Always the same engine, not the one that happens to be fastest at this moment.
            .args(["eval", "--json", "--data", "rows.csv", "--engine", "torchscript"])
            .args(flags),
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

const KEYS: [&str; 7] = [
    "accuracy",
    "macro_f1",
    "log_loss",
    "ece",
    "rows",
    "per_class",
    "confusion",
];

#[test]
fn what_is_measured_is_written_down_only_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    let before = manifest(dir.path());
    let plain = eval(dir.path(), &[]);
    assert_eq!(keys(&plain), KEYS);
    assert_eq!(manifest(dir.path()), before);

    let all = eval(
        dir.path(),
        &[
            "--fit-temperature",
            "--robustness",
            "--record",
            "--plots",
            "plots",
        ],
    );
    assert_eq!(keys(&all)[..7], KEYS);
    let robustness = &all["robustness"];
    assert_eq!(robustness["rows"], ROWS);
    assert_eq!(robustness["cases"].as_array().unwrap().len(), 14);
    for file in [
        "confusion.svg",
        "reliability.svg",
        "precision-recall.svg",
        "report.html",
    ] {
        assert!(dir.path().join("plots").join(file).is_file(), "{file}");
    }
    // No records, no learning curves.
    assert!(!dir.path().join("plots/learning.svg").exists());

    let after = manifest(dir.path());
    assert_eq!(after["scores"]["rows"], ROWS);
    assert_eq!(after["robustness"], *robustness);
    let temperature = after["calibration"]["temperature"].as_f64().unwrap();
    assert!((temperature - 1.0).abs() > 1e-3, "{temperature}");
    // It moves no label, and the log-loss is the least there is.
    assert_eq!(all["confusion"], plain["confusion"]);
    let (loss, loss_before) = (
        all["log_loss"].as_f64().unwrap(),
        plain["log_loss"].as_f64().unwrap(),
    );
    assert!(loss < loss_before, "{loss} {loss_before}");
    let said = after["calibration"]["log_loss"]["after"].as_f64().unwrap();
    assert!((said - loss).abs() < 1e-6, "{said} {loss}");
    // What is in the folder from now on is what every later command uses.
    let again = eval(dir.path(), &[]);
    assert_eq!(again["log_loss"], all["log_loss"]);
    let card = fs::read_to_string(dir.path().join("model/README.md")).unwrap();
    assert!(card.contains(&format!("temperature {temperature:.4}")) && card.contains("## Robustness"));
}

#[test]
fn records_that_are_none_are_refused_before_the_work() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    fs::write(dir.path().join("wrong.jsonl"), "{\"epoch\": 1}\n").unwrap();
    for (file, code, word) in [
        ("wrong.jsonl", 2, "line 1"),
        ("missing.jsonl", 1, "missing.jsonl"),
    ] {
        let output = fer_train()
            .current_dir(dir.path())
            .args(["eval", "--data", "rows.csv", "--metrics", file])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
}

#[test]
fn a_temperature_takes_the_scores_and_the_card_with_it() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    eval(dir.path(), &["--record"]);
    let before = manifest(dir.path());
    let card = || fs::read_to_string(dir.path().join("model/README.md")).unwrap();
    assert!(card().contains("Not calibrated"));

    // Too few rows: nothing is touched.
    fs::write(dir.path().join("few.csv"), labelled_csv(99, 3)).unwrap();
    let output = fer_train()
        .current_dir(dir.path())
        .args(["eval", "--data", "few.csv", "--fit-temperature"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("99 rows are too few"),
        "{}",
        stderr(&output)
    );
    assert_eq!(manifest(dir.path()), before);

    // By the name that the flag had before.
    let scores = eval(dir.path(), &["--calibrate"]);
    let after = manifest(dir.path());
    assert_eq!(after["scores"], scores);
    assert_ne!(after["scores"]["log_loss"], before["scores"]["log_loss"]);
    let temperature = after["calibration"]["temperature"].as_f64().unwrap();
    let loss = scores["log_loss"].as_f64().unwrap();
    for word in [
        format!("temperature {temperature:.4}"),
        format!("log-loss {loss:.4}"),
    ] {
        assert!(card().contains(&word), "{word}");
    }
}
