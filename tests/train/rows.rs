//! What `eval` and `predict` do with files, good and broken. The reader's own tests cover each message.

use std::fs;

use super::support::{face, fer_train, labelled_csv, pixels, stderr, succeed};

fn model() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../model")
}

#[test]
fn eval_prints_one_object_in_the_documented_order() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("d.csv");
    fs::write(&data, labelled_csv(21, 3)).unwrap();
    let output = succeed(
        fer_train()
            .args(["eval", "--json", "--model"])
            .arg(model())
            .arg("--data")
            .arg(&data),
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let scores: serde_json::Value = serde_json::from_str(&text).unwrap();
    let at = |key: &str| {
        text.find(&format!("\"{key}\""))
            .unwrap_or_else(|| panic!("{key} is missing: {text}"))
    };
    let keys = [
        "accuracy",
        "macro_f1",
        "log_loss",
        "ece",
        "rows",
        "per_class",
        "confusion",
    ];
    assert!(keys.windows(2).all(|w| at(w[0]) < at(w[1])), "{text}");
    assert_eq!(scores["rows"], 21);
    assert_eq!(scores["per_class"]["neutral"]["support"], 3);
    let confusion: Vec<Vec<u64>> = serde_json::from_value(scores["confusion"].clone()).unwrap();
    assert!(
        confusion.len() == 7
            && confusion
                .iter()
                .all(|row| row.len() == 7 && row.iter().sum::<u64>() == 3)
    );
    let right: u64 = (0..7).map(|i| confusion[i][i]).sum();
    assert!((scores["accuracy"].as_f64().unwrap() - right as f64 / 21.0).abs() < 1e-9);
}

#[test]
fn predict_writes_one_label_a_row_and_eval_agrees_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (test, labelled, out) = (
        dir.path().join("test.csv"),
        dir.path().join("labelled.csv"),
        dir.path().join("predictions.csv"),
    );
    // More rows than a batch, so that the seam is crossed.
    let faces: Vec<_> = (0..200).map(|i| face(i % 7, i as u64)).collect();
    let body: String = faces.iter().map(|f| format!("\"{}\"\r\n", pixels(f))).collect();
    fs::write(&test, format!("\u{feff}pixels\r\n{body}")).unwrap();
    succeed(
        fer_train()
            // Here and below: two engines may differ on a face without a clear label.
            .args(["predict", "--engine", "torchscript", "--model"])
            .arg(model())
            .arg("--data")
            .arg(&test)
            .arg("--out")
            .arg(&out),
    );
    let text = fs::read_to_string(&out).unwrap();
    let labels: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!((text.lines().next(), labels.len()), (Some("emotion"), 200));
    assert!(labels.iter().all(|l| matches!(l.parse::<u8>(), Ok(0..=6))));
    // Scored on its own predictions the model is always right.
    let rows: String = faces
        .iter()
        .zip(&labels)
        .map(|(f, l)| format!("{l},Training,{}\n", pixels(f)))
        .collect();
    fs::write(&labelled, format!("emotion, Usage, pixels\n{rows}")).unwrap();
    let output = succeed(
        fer_train()
            .args(["eval", "--json", "--engine", "torchscript", "--model"])
            .arg(model())
            .arg("--data")
            .arg(&labelled),
    );
    let scores: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(scores["accuracy"], 1.0);
}

#[test]
fn a_broken_file_stops_the_run_with_file_line_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let good = pixels(&face(0, 1));
    let short = good.rsplit_once(' ').unwrap().0;
    let high = format!(
        "256{}",
        good.split_once(' ').map(|(_, rest)| format!(" {rest}")).unwrap()
    );
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        (
            "truncated",
            format!("emotion,pixels\n0,\"{good}\"\n1,\"{}", &good[..900]).into(),
            "line 3",
            "pixels",
        ),
        (
            "short",
            format!("emotion,pixels\n0,\"{short}\"\n").into(),
            "line 2",
            "2303",
        ),
        (
            "high",
            format!("emotion,pixels\n0,\"{high}\"\n").into(),
            "line 2",
            "256",
        ),
        (
            "label",
            format!("emotion,pixels\n7,\"{good}\"\n").into(),
            "line 2",
            "7",
        ),
        ("empty", Vec::new(), "empty.csv", "empty"),
        (
            "header",
            format!("feeling,picture\n0,\"{good}\"\n").into(),
            "line 1",
            "feeling",
        ),
        (
            "nul",
            format!("emotion,pixels\n0,\"{good}\"\n\0\0\0\n").into(),
            "line 3",
            "NUL",
        ),
        (
            "latin",
            [b"emotion,pixels\n0,\"".as_slice(), &[0xE9], b" 1 2\"\n"].concat(),
            "line 2",
            "UTF-8",
        ),
    ];
    for (name, bytes, place, reason) in cases {
        let path = dir.path().join(format!("{name}.csv"));
        fs::write(&path, bytes).unwrap();
        for command in ["eval", "fit"] {
            let mut run = fer_train();
            match command {
                "eval" => run
                    .arg("eval")
                    .arg("--model")
                    .arg(model())
                    .arg("--data")
                    .arg(&path),
                _ => run
                    .arg("fit")
                    .arg("--train")
                    .arg(&path)
                    .arg("--out")
                    .arg(dir.path().join("out")),
            };
            let output = run.output().unwrap();
            let text = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{name}: {text}");
            assert!(
                text.contains(&format!("{name}.csv")) && text.contains(place) && text.contains(reason),
                "{text}"
            );
        }
    }
}

#[test]
fn bad_rows_can_be_skipped_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.csv");
    fs::write(&path, labelled_csv(7, 1) + "9,\"1 2 3\"\n" + "1,\"\"\n").unwrap();
    let output = succeed(
        fer_train()
            .args(["eval", "--json", "--skip-bad-rows", "--model"])
            .arg(model())
            .arg("--data")
            .arg(&path),
    );
    assert!(
        stderr(&output).contains("2 bad rows skipped"),
        "{}",
        stderr(&output)
    );
    let scores: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(scores["rows"], 7);
}

#[test]
fn a_model_folder_that_is_not_whole_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("d.csv");
    fs::write(&data, labelled_csv(7, 1)).unwrap();
    let output = fer_train()
        .args(["eval", "--model", "no-such-folder", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no-such-folder/model.json"),
        "{}",
        stderr(&output)
    );
    // A file that is there but of another kind is the user's to change.
    fs::write(dir.path().join("model.json"), "[]").unwrap();
    let output = fer_train()
        .args(["eval", "--model"])
        .arg(dir.path())
        .arg("--data")
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("not a model manifest"),
        "{}",
        stderr(&output)
    );
}
