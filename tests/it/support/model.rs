//! Model folders made on the spot: tiny TorchScript modules with a manifest.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use fer_engine::FileEntry;
use serde_json::{Value, json};
use tch::{CModule, Kind, Tensor};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::{Server, pictures::SIDE};

/// The repository's trained model. A test that asks for it fails if it is not there.
pub(crate) fn trained() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("model");
    assert!(
        path.join("model.json").is_file(),
        "these tests need the model folder `model/` of the repository"
    );
    path
}

/// How the manifest of a made model scales gray values: as they are, 0–255.
pub(crate) fn raw_input() -> Value {
    json!({"width": SIDE, "height": SIDE, "channels": 1, "scale": 1.0, "mean": 0.0, "std": 1.0})
}

/// Writes the module that `f` traces, and its manifest, into a new folder.
pub(crate) fn folder(mut f: impl FnMut(&Tensor) -> Tensor) -> TempDir {
    let dir = TempDir::new().unwrap();
    let side = SIDE as i64;
    let example = Tensor::zeros([2, 1, side, side], (Kind::Float, tch::Device::Cpu));
    let module =
        CModule::create_by_tracing("Model", "forward", &[example], &mut |inputs| vec![f(&inputs[0])])
            .unwrap();
    module.save(dir.path().join("model.pt")).unwrap();
    write_manifest(dir.path(), |_| {});
    dir
}

/// Writes `model.json` for the `model.pt` that lies there; `change` may spoil it.
pub(crate) fn write_manifest(dir: &Path, change: impl FnOnce(&mut Value)) {
    let weights = dir.join("model.pt");
    let mut manifest = json!({
        "name": "tiny",
        "version": "7",
        "labels": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
        "input": raw_input(),
        "files": {"model.pt": FileEntry::of(&weights).unwrap()},
        "scores": {"accuracy": 0.5},
    });
    change(&mut manifest);
    std::fs::write(dir.join("model.json"), manifest.to_string()).unwrap();
}

/// A new folder with a linear model whose answer depends on every pixel. Two patterns of the picture's upper
/// left corner make it fail:
///
/// - first pixel 255, second 0: the module itself fails inside libtorch;
/// - first pixel 0, second 255: the logits are not finite.
pub(crate) fn tiny() -> TempDir {
    static FILES: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    let (weights, manifest) = FILES.get_or_init(|| {
        let pixels = (SIDE * SIDE) as i64;
        // Fixed weights from a linear congruential generator, small enough that no label wins outright.
        let mut state = 1_u32;
        let values: Vec<f32> = (0..pixels * 7)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 8) as f32 / 16_777_216.0 - 0.5) * 8e-4
            })
            .collect();
        let weights = Tensor::from_slice(&values).view([pixels, 7]);
        let table = Tensor::zeros([255], (Kind::Float, tch::Device::Cpu));
        let dir = folder(|x| {
            let flat = x.flatten(1, -1);
            let corner = flat.narrow(1, 0, 1) - flat.narrow(1, 1, 1);
            // 255 − 0 is one past the end of the table; every smaller difference is inside.
            let index = corner.clamp_min(0.0).flatten(0, -1).to_kind(Kind::Int64);
            let zero = table.index_select(0, &index).unsqueeze(-1);
            // log(255 − 255) is −∞; × 0 makes it NaN. Otherwise finite × 0 = 0.
            let log = ((-corner).clamp_min(0.0) * -1.0 + 255.0).log() * 0.0;
            flat.matmul(&weights) + zero + log
        });
        let read = |name| std::fs::read(dir.path().join(name)).unwrap();
        (read("model.pt"), read("model.json"))
    });
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("model.pt"), weights).unwrap();
    std::fs::write(dir.path().join("model.json"), manifest).unwrap();
    dir
}

/// A new folder with a model that compares its input with `expected` (48×48 gray values): the logit of
/// `angry` is minus the sum, of `disgust` minus the maximum of the absolute differences in gray levels, all
/// other logits are 0. [`deviation`] reads that back out of an answer.
pub(crate) fn compares_with(expected: &[u8]) -> TempDir {
    let wanted = Tensor::from_slice(expected)
        .to_kind(Kind::Float)
        .view([1, (SIDE * SIDE) as i64]);
    let rest = Tensor::zeros([1, 5], (Kind::Float, tch::Device::Cpu));
    folder(|x| {
        let off = (x.flatten(1, -1) - &wanted).abs();
        let sum = off.sum_dim_intlist([1_i64].as_slice(), true, Kind::Float);
        let max = off.amax([1_i64].as_slice(), true);
        // Adding a column of zeros made from `sum` gives `rest` as many rows as there are faces.
        let rest = &sum * 0.0 + &rest;
        Tensor::cat(&[-sum / SUM_SCALE, -max / MAX_SCALE, rest], 1)
    })
}

// Keep the logits where a softmax in f32 still tells single gray levels apart.
const SUM_SCALE: f64 = 256.0;
const MAX_SCALE: f64 = 16.0;

/// Sum and maximum of the absolute differences, in gray levels, that a [`compares_with`] model saw.
pub(crate) fn deviation(probabilities: &Value) -> (f64, f64) {
    let p = |label: &str| probabilities[label].as_f64().unwrap();
    let reference = p("neutral");
    (
        -(p("angry") / reference).ln() * SUM_SCALE,
        -(p("disgust") / reference).ln() * MAX_SCALE,
    )
}

/// A server that does not load its model, [`tiny`], until [`Late::arrive`].
pub(crate) struct Late {
    folder: TempDir,
    begin: oneshot::Sender<()>,
}

impl Late {
    pub(crate) async fn start(flags: &[&str]) -> (Self, Server) {
        let folder = tiny();
        let (begin, begun) = oneshot::channel();
        let server = Server::start_loading_after(folder.path(), flags, begun).await;
        (Self { folder, begin }, server)
    }

    /// Lets the load begin, and returns the folder, which the load reads.
    pub(crate) fn arrive(self) -> TempDir {
        let _ = self.begin.send(());
        self.folder
    }
}

/// Puts a FIFO in the place of a file: an open that waits for its writer never returns.
pub(crate) fn replace_by_fifo(path: &Path) {
    let _ = std::fs::remove_file(path);
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}
