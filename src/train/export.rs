//! Checkpoint → model folder: batch norm folded, traced to TorchScript, hashes and scores written down.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use tch::{CModule, Device, Kind, TchError, Tensor};

use super::{
    TrainError,
    checkpoint::{State, save_network},
    network::{BATCH_NORM_EPSILON, Kernel, LAYERS, Network},
};
use crate::{
    emotion::Emotion,
    engine::{FILE_MANIFEST, FILE_SAFETENSORS, FILE_TORCHSCRIPT, FileEntry, Manifest, sha256_hex},
    image::SIDE,
};

/// A layer with its batch norm folded in.
#[derive(Debug)]
pub struct Folded {
    /// `[outputs, inputs, size, size]` or `[outputs, inputs]`, float, contiguous.
    pub weight: Tensor,
    /// `[outputs]`, float.
    pub bias: Tensor,
}

/// The layers of [`LAYERS`] with `γ(Wx + b − µ)/√(σ² + ε) + β` written as `W'x + b'`, computed in double.
///
/// # Errors
/// What libtorch says.
pub fn fold(network: &Network) -> Result<Vec<Folded>, TchError> {
    let _no_grad = tch::no_grad_guard();
    let get = |layer: &str, what: &str| {
        let name = format!("{layer}.{what}");
        network
            .tensors()
            .find(|n| n.name == name)
            .ok_or_else(|| TchError::Torch(format!("the network has no tensor {name}")))?
            .tensor
            .f_to_device(Device::Cpu)?
            .f_to_kind(Kind::Double)
    };
    LAYERS
        .iter()
        .map(|layer| {
            let (mut weight, mut bias) = (get(layer.name, "weight")?, get(layer.name, "bias")?);
            if layer.batch_norm {
                let deviation = get(layer.name, "bn.running_var")?
                    .f_add_scalar(BATCH_NORM_EPSILON)?
                    .f_sqrt()?;
                let factor = get(layer.name, "bn.weight")?.f_div(&deviation)?;
                bias = bias
                    .f_sub(&get(layer.name, "bn.running_mean")?)?
                    .f_mul(&factor)?
                    .f_add(&get(layer.name, "bn.bias")?)?;
                let mut rows = vec![1; weight.dim()];
                rows[0] = -1;
                weight = weight.f_mul(&factor.f_view(rows.as_slice())?)?;
            }
            let float = |t: &Tensor| t.f_to_kind(Kind::Float)?.f_contiguous();
            Ok(Folded {
                weight: float(&weight)?,
                bias: float(&bias)?,
            })
        })
        .collect()
}

/// Logits `[N,7]` of folded layers for `[N,1,48,48]`.
///
/// # Errors
/// What libtorch says.
pub fn forward_folded(layers: &[Folded], input: &Tensor) -> Result<Tensor, TchError> {
    let mut x = input.shallow_clone();
    let last = LAYERS.len() - 1;
    for (i, (layer, folded)) in LAYERS.iter().zip(layers).enumerate() {
        x = match layer.kernel {
            Kernel::Conv { padding, .. } => {
                let padding = i64::try_from(padding).unwrap_or(0);
                x.f_conv2d(
                    &folded.weight,
                    Some(&folded.bias),
                    [1, 1],
                    [padding; 2],
                    [1, 1],
                    1,
                )?
                .f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?
            }
            Kernel::Dense => x.f_flatten(1, -1)?.f_linear(&folded.weight, Some(&folded.bias))?,
        };
        if i < last {
            x = x.f_relu()?;
        }
    }
    Ok(x)
}

/// Name and version a model folder gets.
#[derive(Debug, Clone)]
pub struct Identity {
    /// In answers and on `/v2`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Writes `model.pt`, `model.safetensors` and `model.json`, the latter without scores yet.
///
/// `model.json` is written last: a folder without it, or
/// whose hashes differ, is refused by the server, so a half-written one never serves.
///
/// # Errors
/// [`TrainError::File`] or what libtorch says.
pub fn export(
    network: &Network,
    state: &State,
    identity: &Identity,
    out: &Path,
) -> Result<Manifest, TrainError> {
    fs::create_dir_all(out).map_err(TrainError::file(out))?;
    save_network(network, &out.join(FILE_SAFETENSORS))?;
    save_torchscript(&fold(network)?, &out.join(FILE_TORCHSCRIPT))?;
    let mut files = BTreeMap::new();
    for name in [FILE_TORCHSCRIPT, FILE_SAFETENSORS] {
        files.insert(name.to_owned(), entry(out, name)?);
    }
    let mut training = serde_json::json!({
        "recipe": state.recipe,
        "seed": state.recipe.seed,
        "precision": state.precision,
        "rows": state.rows,
        "best": state.best,
    });
    if let (Some(from), Some(object)) = (&state.started_from, training.as_object_mut()) {
        object.insert("started_from".to_owned(), serde_json::json!(from));
    }
    if let (Some(teachers), Some(object)) = (&state.teachers, training.as_object_mut()) {
        object.insert("teachers".to_owned(), serde_json::json!(teachers));
    }
    let manifest = Manifest {
        name: identity.name.clone(),
        version: identity.version.clone(),
        labels: Emotion::ALL.iter().map(|e| e.name().to_owned()).collect(),
        input: state.recipe.input,
        files,
        calibration: None,
        training,
        scores: serde_json::Value::Null,
        robustness: serde_json::Value::Null,
    };
    write_manifest(&manifest, out)?;
    Ok(manifest)
}

/// Size and hash of a file of the folder.
///
/// # Errors
/// [`TrainError::File`].
pub fn entry(out: &Path, name: &str) -> Result<FileEntry, TrainError> {
    let path = out.join(name);
    let bytes = fs::metadata(&path).map_err(TrainError::file(&path))?.len();
    let sha256 = sha256_hex(&path).map_err(TrainError::file(&path))?;
    Ok(FileEntry { sha256, bytes })
}

/// Writes `model.json`.
///
/// # Errors
/// [`TrainError::File`].
pub fn write_manifest(manifest: &Manifest, out: &Path) -> Result<(), TrainError> {
    let path = out.join(FILE_MANIFEST);
    crate::files::replace(&path, |f| -> std::io::Result<()> {
        serde_json::to_writer_pretty(&mut *f, manifest)?;
        f.write_all(b"\n")
    })
    .map_err(TrainError::file(&path))
}

fn save_torchscript(layers: &[Folded], path: &PathBuf) -> Result<(), TrainError> {
    let _no_grad = tch::no_grad_guard();
    let side = i64::try_from(SIDE).unwrap_or(0);
    let example = Tensor::f_zeros([1, 1, side, side], (Kind::Float, Device::Cpu))?;
    let mut failed = None;
    let mut forward = |inputs: &[Tensor]| match forward_folded(layers, &inputs[0]) {
        Ok(logits) => vec![logits],
        // The closure cannot fail; the input stands in and the error is given out below.
        Err(e) => {
            failed = Some(e);
            vec![inputs[0].shallow_clone()]
        }
    };
    let mut module = CModule::create_by_tracing("Fer", "forward", &[example], &mut forward)?;
    if let Some(e) = failed {
        return Err(e.into());
    }
    module.f_set_eval()?;
    let part = path.with_extension("pt.part");
    module.save(&part)?;
    fs::rename(&part, path).map_err(TrainError::file(path))
}
