//! Rows to score on whose face a training row has, too.

use std::{fs, path::Path};

use serde_json::Value;

use super::support::{fer_train, labelled_csv, small_fit, stderr, succeed};

fn model_json(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("model.json")).unwrap()).unwrap()
}

/// Sixteen training rows, and six to validate of which the first two are the training rows' last.
fn overlapping(dir: &Path) {
    fs::write(dir.join("train.csv"), labelled_csv(16, 1)).unwrap();
    fs::write(dir.join("valid.csv"), labelled_csv(6, 15)).unwrap();
}

#[test]
fn fit_says_how_many_validation_rows_have_a_training_rows_face() {
    let dir = tempfile::tempdir().unwrap();
    overlapping(dir.path());
    let text = stderr(&succeed(small_fit(dir.path(), "run").args(["--epochs", "1"])));
    assert!(
        text.contains("2 of the validation rows have the face of a training row"),
        "{text}"
    );
    assert!(
        text.contains("2 of the rows have the face of a training row; on the other 4: accuracy"),
        "{text}"
    );
    let folder = dir.path().join("run/model");
    let manifest = model_json(&folder);
    assert_eq!(manifest["training"]["repeated_faces"], 2);
    assert_eq!(manifest["scores"]["repeated_faces"], 2);
    assert_eq!(manifest["scores"]["unseen"]["rows"], 4);
    let card = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(
        card.contains("2 of them have the same face as a training row; on the other 4: accuracy"),
        "{card}"
    );

    // Of other rows than those it was trained and chosen on, an export says what it measured and no more.
    fs::write(dir.path().join("other.csv"), labelled_csv(8, 15)).unwrap();
    let out = dir.path().join("exported");
    succeed(
        fer_train()
            .args(["export", "--checkpoint"])
            .arg(dir.path().join("run/best.safetensors"))
            .arg("--data")
            .arg(dir.path().join("other.csv"))
            .arg("--calibrate")
            .arg(dir.path().join("train.csv"))
            .arg("--out")
            .arg(&out),
    );
    let manifest = model_json(&out);
    assert!(manifest["training"].get("repeated_faces").is_none());
    assert_eq!(manifest["scores"]["unseen"]["rows"], 6);
}

#[test]
fn eval_scores_the_other_rows_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    overlapping(dir.path());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../model");
    let folder = dir.path().join("model");
    fs::create_dir(&folder).unwrap();
    for file in ["model.pt", "model.safetensors", "model.int8.json", "model.json"] {
        fs::copy(shipped.join(file), folder.join(file)).unwrap();
    }
    let eval = |data: &str, flags: &[&str]| {
        let mut command = fer_train();
        command
            .current_dir(dir.path())
            .args(["eval", "--engine", "torchscript", "--data", data])
            .args(flags);
        String::from_utf8(succeed(&mut command).stdout).unwrap()
    };
    let table = eval("valid.csv", &["--train", "train.csv"]);
    assert!(table.contains("2 of the rows have the face"), "{table}");
    let all: Value = serde_json::from_str(&eval(
        "valid.csv",
        &["--train", "train.csv", "--json", "--record"],
    ))
    .unwrap();
    // The last four rows by themselves.
    let text = labelled_csv(6, 15);
    let mut lines: Vec<_> = text.lines().collect();
    lines.drain(1..3);
    fs::write(dir.path().join("others.csv"), lines.join("\n") + "\n").unwrap();
    let others: Value = serde_json::from_str(&eval("others.csv", &["--json"])).unwrap();
    assert_eq!((&all["rows"], &all["repeated_faces"]), (&6.into(), &2.into()));
    for key in ["rows", "accuracy", "macro_f1"] {
        assert_eq!(all["unseen"][key], others[key], "{key}");
    }
    let manifest = model_json(&folder);
    assert_eq!(manifest["scores"], all);
    // These are not the rows the shipped model was trained and chosen on.
    assert_eq!(manifest["training"], model_json(&shipped)["training"]);
    let card = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(card.contains("on the other 4: accuracy"), "{card}");
    // Recorded without the training rows, nothing is claimed of them.
    eval("valid.csv", &["--record"]);
    let card = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(card.contains("was not looked at"), "{card}");
}

#[test]
fn validation_rows_that_are_all_training_rows_are_refused_before_the_training() {
    let dir = tempfile::tempdir().unwrap();
    let write = |train: String, valid: String| {
        fs::write(dir.path().join("train.csv"), train).unwrap();
        fs::write(dir.path().join("valid.csv"), valid).unwrap();
    };
    let refused = |word: &str| {
        let output = small_fit(dir.path(), "run").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
        assert!(!dir.path().join("run").exists());
    };
    write(labelled_csv(16, 1), labelled_csv(6, 1));
    refused("every validation row has the face of a training row");
    // The other way round there is nothing to calibrate int8 on.
    write(labelled_csv(6, 1), labelled_csv(16, 1));
    refused("int8 is calibrated on training rows");
}
