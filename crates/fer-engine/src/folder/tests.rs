use serde_json::Value;

use super::*;
use crate::emotion::Emotion;

/// A folder whose manifest is right: `model.pt` holds three bytes, which is all that is looked at here.
fn folder() -> (tempfile::TempDir, Value) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE_TORCHSCRIPT), b"abc").unwrap();
    let manifest = serde_json::json!({
        "name": "m", "version": "1", "labels": Emotion::ALL,
        "input": {"width": 48, "height": 48, "channels": 1, "scale": 1.0, "mean": 0.0, "std": 1.0},
        "files": {"model.pt": {
            // FIPS 180-2, appendix B.1.
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "bytes": 3}},
    });
    (dir, manifest)
}

fn open(dir: &tempfile::TempDir, manifest: &Value) -> Result<ModelFolder, String> {
    std::fs::write(dir.path().join(FILE_MANIFEST), manifest.to_string()).unwrap();
    ModelFolder::open(dir.path()).map_err(|e| e.to_string())
}

#[test]
fn a_whole_folder_opens() {
    let (dir, manifest) = folder();
    let opened = open(&dir, &manifest).unwrap();
    assert_eq!(opened.manifest().name, "m");
    assert_eq!(opened.file(FILE_TORCHSCRIPT), dir.path().join("model.pt"));
}

#[test]
fn a_name_may_be_in_any_script() {
    for name in ["x", "Gesichter \"ä\" 2.0/b\\c'", "表情", &"ä".repeat(128)] {
        let (dir, mut manifest) = folder();
        manifest["name"] = name.into();
        assert_eq!(open(&dir, &manifest).unwrap().manifest().name, name);
    }
}

#[test]
fn files_that_are_no_regular_files_are_refused_without_waiting_for_them() {
    let (dir, manifest) = folder();
    for (name, make) in [
        (FILE_TORCHSCRIPT, "mkfifo"),
        (FILE_TORCHSCRIPT, "mkdir"),
        (FILE_TORCHSCRIPT, "ln -s /dev/zero"),
        (FILE_MANIFEST, "mkfifo"),
        (FILE_MANIFEST, "mkdir"),
    ] {
        let (dir, manifest) = folder();
        std::fs::write(dir.path().join(FILE_MANIFEST), manifest.to_string()).unwrap();
        let path = dir.path().join(name);
        std::fs::remove_file(&path).unwrap();
        let mut words = make.split(' ');
        let mut command = std::process::Command::new(words.next().unwrap());
        assert!(command.args(words).arg(&path).status().unwrap().success());
        let error = ModelFolder::open(dir.path()).unwrap_err();
        assert!(matches!(error, EngineError::Invalid { .. }), "{error:?}");
        let message = error.to_string();
        assert!(
            message.contains(name) && message.contains("is not a regular file"),
            "{make}: {message}"
        );
    }
    // As large as memory is not: refused by the size, before a byte is read.
    let sparse = std::fs::File::create(dir.path().join(FILE_TORCHSCRIPT)).unwrap();
    sparse.set_len(1 << 31).unwrap();
    assert!(
        open(&dir, &manifest)
            .unwrap_err()
            .contains("has 2147483648 bytes")
    );
    sparse.set_len(1 << 40).unwrap();
    assert!(open(&dir, &manifest).unwrap_err().contains("has more than"));
    let manifest = std::fs::File::create(dir.path().join(FILE_MANIFEST)).unwrap();
    manifest.set_len(1 << 40).unwrap();
    let message = ModelFolder::open(dir.path()).unwrap_err().to_string();
    assert!(
        message.contains(FILE_MANIFEST) && message.contains("has more than 4194304 bytes"),
        "{message}"
    );
}

#[test]
fn another_file_that_the_manifest_names_is_checked_too() {
    let (dir, mut manifest) = folder();
    manifest["files"]["notes"] = manifest["files"]["model.pt"].clone();
    assert!(open(&dir, &manifest).unwrap_err().contains("cannot read"));
    std::fs::write(dir.path().join("notes"), b"abd").unwrap();
    assert!(open(&dir, &manifest).unwrap_err().contains("SHA-256"));
    std::fs::write(dir.path().join("notes"), b"abc").unwrap();
    let opened = open(&dir, &manifest).unwrap();
    assert_eq!(opened.torchscript(), b"abc");
}

#[test]
fn what_differs_from_the_manifest_is_named() {
    let (dir, manifest) = folder();
    for (bytes, word) in [
        (b"abd".as_slice(), "SHA-256"),
        (b"abcd", "4 bytes"),
        (b"", "0 bytes"),
    ] {
        std::fs::write(dir.path().join(FILE_TORCHSCRIPT), bytes).unwrap();
        let message = open(&dir, &manifest).unwrap_err();
        assert!(
            message.contains("model.pt") && message.contains(word),
            "{message}"
        );
    }
    std::fs::remove_file(dir.path().join(FILE_TORCHSCRIPT)).unwrap();
    assert!(open(&dir, &manifest).unwrap_err().contains("cannot read"));
}

#[test]
fn a_manifest_of_something_else_is_refused() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 23] = [
        (
            |m| m["format"] = 2.into(),
            "has format 2, and this version reads formats up to 1",
        ),
        (|m| m["format"] = "new".into(), "not a model manifest"),
        (|m| m["input"]["scale"] = 1e-60.into(), "black and white"),
        (|m| m["input"]["mean"] = 1e30.into(), "black and white"),
        (|m| m["labels"][0] = "happy".into(), "labels"),
        (|m| m["labels"] = serde_json::json!([]), "labels"),
        (|m| m["input"]["width"] = 64.into(), "64"),
        (|m| m["input"]["std"] = 0.into(), "std"),
        (|m| m["input"]["std"] = 1e-320.into(), "beyond 32-bit floats"),
        (|m| m["input"]["mean"] = 1e300.into(), "beyond 32-bit floats"),
        (|m| m["input"] = Value::Null, "not a model manifest"),
        (|m| m["version"] = "".into(), "`version` must have 1 to 128"),
        (|m| m["name"] = "".into(), "`name` must have 1 to 128"),
        (|m| m["name"] = "x".repeat(129).into(), "it has 129"),
        (
            |m| m["version"] = "1\r\nset-cookie: x\u{1b}[31m".into(),
            "is not one",
        ),
        // Turns the text that follows around.
        (|m| m["name"] = "m\u{202e}".into(), "is not one"),
        (|m| m["name"] = "m\u{2028}".into(), "is not one"),
        (
            |m| m["calibration"] = serde_json::json!({"temperature": 0}),
            "calibration.temperature is 0",
        ),
        (|m| m["calibration"] = serde_json::json!({}), "temperature"),
        (|m| m["files"] = serde_json::json!({}), "model.pt"),
        (
            |m| m["files"]["../../etc/passwd"] = m["files"]["model.pt"].clone(),
            "plain name",
        ),
        (|m| m["files"][""] = m["files"]["model.pt"].clone(), "plain name"),
        (
            |m| m["files"]["model.pt/."] = m["files"]["model.pt"].clone(),
            "plain name",
        ),
    ];
    for (change, word) in changes {
        let (dir, mut manifest) = folder();
        change(&mut manifest);
        let message = open(&dir, &manifest).unwrap_err();
        assert!(
            message.contains(FILE_MANIFEST) && message.contains(word),
            "{word}: {message}"
        );
    }
}

fn shipped() -> (Vec<u8>, Manifest) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../model/model.json");
    let text = std::fs::read(path).unwrap();
    let manifest = Manifest::parse(&text).unwrap();
    (text, manifest)
}

#[test]
fn the_shipped_manifest_is_known_in_all_its_parts_and_written_again_as_it_is() {
    let (text, manifest) = shipped();
    assert!(manifest.training.known().is_some_and(|t| t.extra.is_empty()));
    assert!(manifest.scores.known().is_some_and(|s| s.extra.is_empty()));
    assert!(manifest.robustness.known().is_some_and(|r| r.extra.is_empty()));
    let dir = tempfile::tempdir().unwrap();
    manifest.write(dir.path()).unwrap();
    let written = std::fs::read_to_string(dir.path().join(FILE_MANIFEST)).unwrap();
    let without = written.replacen("  \"format\": 1,\n", "", 1);
    assert_eq!(without, String::from_utf8(text).unwrap());
}

/// The paths of all objects of a JSON value.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(at.to_owned());
            for (key, value) in fields {
                objects(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(entries) => {
            for (i, value) in entries.iter().enumerate() {
                objects(value, &format!("{at}/{i}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn unknown_fields_are_kept_at_every_level() {
    let mut value: Value = serde_json::from_slice(&shipped().0).unwrap();
    let mut paths = Vec::new();
    objects(&value, "", &mut paths);
    assert!(paths.len() > 35, "{paths:?}");
    for path in &paths {
        // The keys of these two are names, of files and of labels.
        if path != "/files" && path != "/scores/per_class" {
            value.pointer_mut(path).unwrap()["later"] = serde_json::json!({"x": [1, 0.1]});
        }
    }
    let manifest = Manifest::parse(value.to_string().as_bytes()).unwrap();
    assert!(manifest.training.known().is_some() && manifest.scores.known().is_some());
    assert!(manifest.robustness.known().is_some());
    value["format"] = 1.into();
    assert_eq!(serde_json::to_value(&manifest).unwrap(), value);
}

#[test]
fn records_of_another_shape_are_kept_and_refuse_no_model() {
    let (_, mut value) = folder();
    value["training"] = serde_json::json!("by hand");
    value["scores"] = serde_json::json!({"accuracy": 0.5});
    let manifest = Manifest::parse(value.to_string().as_bytes()).unwrap();
    assert!(manifest.scores.known().is_none());
    value["format"] = 1.into();
    assert_eq!(serde_json::to_value(&manifest).unwrap(), value);
}

#[test]
fn a_run_that_started_from_something_in_words_is_known() {
    // As in the folder of the first shipped model.
    let mut value: Value = serde_json::from_slice(&shipped().0).unwrap();
    value["training"]["started_from"] = serde_json::json!({"what": "an earlier run", "seed": 1});
    let manifest = Manifest::parse(value.to_string().as_bytes()).unwrap();
    assert!(manifest.training.known().is_some());
    let written = serde_json::to_value(&manifest).unwrap();
    assert_eq!(written["training"], value["training"]);
}
