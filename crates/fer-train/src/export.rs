//! Checkpoint → model folder: batch norm folded, traced to TorchScript, hashes and scores written down.

use std::{collections::BTreeMap, fs, io::Write, path::Path};

use fer_engine::{network::Folded, save_torchscript};

use super::{
    TrainError,
    network::Network,
    run::{State, save_network},
};
use fer_engine::{
    FILE_MANIFEST, FILE_SAFETENSORS, FILE_TORCHSCRIPT, FileEntry, Manifest, emotion::Emotion, sha256_hex,
};
use fer_image::SIDE;

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
    let folded: Vec<_> = network.weights()?.iter().map(Folded::from).collect();
    save_torchscript(&folded, &out.join(FILE_TORCHSCRIPT))?;
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
    fer_engine::files::replace(&path, |f| -> std::io::Result<()> {
        serde_json::to_writer_pretty(&mut *f, manifest)?;
        f.write_all(b"\n")
    })
    .map_err(TrainError::file(&path))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::network::{BATCH_NORM_EPSILON, LAYERS};

    /// Folding as libtorch computes it, `γ(Wx + b − µ)/√(σ² + ε) + β` in double precision.
    fn reference(network: &Network) -> Vec<[Tensor; 2]> {
        let _no_grad = tch::no_grad_guard();
        let get = |name: String| {
            let named = network.tensors().find(|n| n.name == name).unwrap();
            named.tensor.to_kind(Kind::Double)
        };
        LAYERS
            .iter()
            .map(|layer| {
                let get = |what: &str| get(format!("{}.{what}", layer.name));
                let (mut weight, mut bias) = (get("weight"), get("bias"));
                if layer.batch_norm {
                    let factor = get("bn.weight") / (get("bn.running_var") + BATCH_NORM_EPSILON).sqrt();
                    bias = (bias - get("bn.running_mean")) * &factor + get("bn.bias");
                    let mut rows = vec![1; weight.dim()];
                    rows[0] = -1;
                    weight *= factor.view(rows.as_slice());
                }
                [weight, bias].map(|t| t.to_kind(Kind::Float).contiguous().view([-1]))
            })
            .collect()
    }

    #[test]
    fn folding_gives_the_bits_that_libtorch_gives() {
        tch::manual_seed(5);
        let network = Network::new(Device::Cpu).unwrap();
        {
            let _no_grad = tch::no_grad_guard();
            for named in network
                .tensors()
                .filter(|n| n.name.contains(".bn.") || n.name.ends_with("bias"))
            {
                let _ = named.tensor.shallow_clone().uniform_(0.1, 2.0);
            }
        }
        for (layer, [weight, bias]) in network.weights().unwrap().iter().zip(reference(&network)) {
            let folded = Folded::from(layer);
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let values = |t: &Tensor| Vec::<f32>::try_from(t).unwrap();
            assert_eq!(bits(&folded.weight), bits(&values(&weight)));
            assert_eq!(bits(&folded.bias), bits(&values(&bias)));
        }
    }
}
