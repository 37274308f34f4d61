//! A checkpoint, the TorchScript and the safetensors of one training are the same function.

use std::path::Path;

use fer_engine::{Classifier, Logits, ModelFolder, TorchScript, to_logits};
use fer_image::{Face, PIXELS};
use fer_train::{Network, load_average, load_network, plain, to_batch};
use tch::{Device, Kind};

use super::support::{face, fer_train, labelled_csv, small_fit, stderr, succeed};

/// Difference of logits, as a share of the largest one or of 1.
const TOLERANCE: f32 = 1e-4;

fn faces() -> Vec<Face> {
    (0..21)
        .map(|i| face(i % 7, 500 + i as u64))
        .chain([Face([0; PIXELS]), Face([255; PIXELS])])
        .collect()
}

fn by_network(network: &Network, folder: &ModelFolder) -> Vec<Logits> {
    let faces = faces();
    let mut pixels = vec![0.0; faces.len() * PIXELS];
    for (face, out) in faces.iter().zip(pixels.chunks_exact_mut(PIXELS)) {
        plain(&face.0, &folder.manifest().input, out);
    }
    let _no_grad = tch::no_grad_guard();
    let input = to_batch(&pixels, Device::Cpu).unwrap();
    to_logits(&network.forward(&input, Kind::Float).unwrap(), faces.len()).unwrap()
}

fn assert_close(what: &str, a: &[Logits], b: &[Logits]) {
    assert_eq!(a.len(), b.len());
    let worst = a
        .iter()
        .flatten()
        .zip(b.iter().flatten())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    // Rounding grows with the logits, which after a few steps at a high rate can be large.
    let largest = a.iter().flatten().fold(1.0, |m: f32, x| m.max(x.abs()));
    assert!(
        worst <= TOLERANCE * largest,
        "{what}: a logit differs by {worst}, of logits up to {largest}"
    );
}

/// The shipped folder (or a fresh one): its two weight files agree.
fn files_agree(folder: &Path) -> (ModelFolder, Vec<Logits>) {
    let folder = ModelFolder::open(folder).unwrap();
    let served = TorchScript::load(&folder, Device::Cpu)
        .unwrap()
        .classify(&faces())
        .unwrap();
    let network = Network::new(Device::Cpu).unwrap();
    load_network(&folder.file("model.safetensors"), &network).unwrap();
    assert_close(
        "model.pt and model.safetensors",
        &served,
        &by_network(&network, &folder),
    );
    (folder, served)
}

#[test]
fn the_shipped_weights_agree() {
    let (folder, _) = files_agree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../model"));
    let weights = std::fs::read(folder.file("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&weights).unwrap();
    let count: usize = tensors
        .iter()
        .map(|(_, t)| t.shape().iter().product::<usize>())
        .sum();
    assert_eq!(count, 3_823_367);
}

#[test]
fn an_export_agrees_with_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    succeed(small_fit(dir.path(), "run").args(["--epochs", "1"]));
    let (checkpoint, out) = (
        dir.path().join("run/best.safetensors"),
        dir.path().join("exported"),
    );
    succeed(
        fer_train()
            .args([
                "export",
                "--model-name",
                "mine",
                "--model-version",
                "7",
                "--checkpoint",
            ])
            .arg(&checkpoint)
            .arg("--out")
            .arg(&out)
            .arg("--data")
            .arg(dir.path().join("valid.csv"))
            .arg("--int8-data")
            .arg(dir.path().join("train.csv")),
    );
    let (folder, served) = files_agree(&out);
    let int8: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("model.int8.json")).unwrap()).unwrap();
    assert_eq!(
        int8["weights_sha256"],
        folder.manifest().files["model.safetensors"].sha256
    );
    assert!(fer_engine::QuantRanges::load(&folder).unwrap().is_some());
    // A scale that was changed is not the one whose cost was measured.
    let changed = std::fs::read(out.join("model.int8.json")).unwrap();
    std::fs::write(out.join("model.int8.json"), [&changed[..], b" "].concat()).unwrap();
    let refused = ModelFolder::open(&out).unwrap_err().to_string();
    assert!(refused.contains("model.int8.json"), "{refused}");
    // Without training rows none is written, and one for other weights does not stay.
    let file = out.join("model.int8.json");
    let mut other = int8.clone();
    other["weights_sha256"] = "00".repeat(32).into();
    std::fs::write(&file, other.to_string()).unwrap();
    let again = succeed(
        fer_train()
            .args([
                "export",
                "--model-name",
                "mine",
                "--model-version",
                "7",
                "--checkpoint",
            ])
            .arg(&checkpoint)
            .arg("--out")
            .arg(&out)
            .arg("--data")
            .arg(dir.path().join("valid.csv")),
    );
    assert!(stderr(&again).contains("no model.int8.json was written"));
    assert!(!file.exists());
    assert!(
        !ModelFolder::open(&out)
            .unwrap()
            .manifest()
            .files
            .contains_key("model.int8.json")
    );

    let (network, _) = load_average(&checkpoint).unwrap();
    assert_close("checkpoint and model.pt", &by_network(&network, &folder), &served);
    let manifest = folder.manifest();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("mine", "7"));
    assert_eq!(manifest.scores.known().unwrap().scores.rows, 6);
    // Six rows are too few for a temperature.
    assert_eq!(manifest.temperature_fit, None);
    let training = manifest.training.known().unwrap();
    assert_eq!(training.epochs_trained, Some(1));
    assert!(training.seconds.is_some());
    assert_eq!(training.seed, 1);
    // Of a file with a Usage column it is scored on the PublicTest rows.
    let text = labelled_csv(9, 40);
    let text: Vec<_> = text
        .lines()
        .zip(
            ["Usage", "Training", "Training", "PublicTest", "PublicTest"]
                .into_iter()
                .chain(["PrivateTest"; 5]),
        )
        .map(|(line, usage)| format!("{line},{usage}\n"))
        .collect();
    let sets = dir.path().join("fer2013.csv");
    std::fs::write(&sets, text.concat()).unwrap();
    let scored = dir.path().join("scored");
    succeed(
        fer_train()
            .arg("export")
            .arg("--checkpoint")
            .arg(&checkpoint)
            .arg("--out")
            .arg(&scored)
            .arg("--data")
            .arg(&sets),
    );
    let scored = ModelFolder::open(&scored).unwrap();
    assert_eq!(scored.manifest().scores.known().unwrap().scores.rows, 2);
    // What `fit` itself wrote is the same model.
    let (fitted, _) = files_agree(&dir.path().join("run/model"));
    assert_eq!(
        fitted.manifest().files["model.safetensors"],
        manifest.files["model.safetensors"]
    );
    let card = std::fs::read_to_string(out.join("README.md")).unwrap();
    for word in ["# mine 7", "Art. 5(1)(f)", "FER2013", "| disgust |"] {
        assert!(card.contains(word), "{word}");
    }
}

#[test]
fn weights_can_be_a_starting_point() {
    let dir = tempfile::tempdir().unwrap();
    succeed(small_fit(dir.path(), "first").args(["--epochs", "1"]));
    let weights = dir.path().join("first/model/model.safetensors");
    succeed(
        small_fit(dir.path(), "second")
            .args(["--epochs", "1", "--init"])
            .arg(&weights),
    );
    let read = |run: &str| -> serde_json::Value {
        let path = dir.path().join(run).join("model/model.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let (first, second) = (read("first"), read("second"));
    assert!(first["training"].get("started_from").is_none());
    let from = &second["training"]["started_from"];
    assert_eq!(from["name"], "fer2013 1");
    assert_eq!(from["sha256"], first["files"]["model.safetensors"]["sha256"]);
    let output = small_fit(dir.path(), "third")
        .args(["--init"])
        .arg(dir.path().join("train.csv"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("train.csv: not a whole safetensors file"),
        "{}",
        stderr(&output)
    );
}
