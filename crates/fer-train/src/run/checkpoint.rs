//! All of a run's state in one safetensors file, and single networks in the same format.
//!
//! Tensors: `network/…` (trained weights and batch norm), `average/…` (the averaged ones), `momentum/…`, with Adam
//! `squares/…`, and `memory/probabilities` (the soft labels).
//! Metadata `fer-train`: [`State`] as JSON. Randomness needs no entry: all of it follows from the recipe's
//! seed, the epoch and the step.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use fer_engine::{
    folder::{Best, Provenance, Rows},
    network::{find_tensor, not_safetensors},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    distill::SoftLabels,
    error::TrainError,
    network::{Named, Network, channels_last},
    optim::Optimiser,
    output::write_file,
    recipe::{self, Recipe},
};

const METADATA: &str = "fer-train";

// Tensors are copied to and from the file without conversion.
#[cfg(target_endian = "big")]
compile_error!("safetensors files are little-endian");

/// The state of a run apart from its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    #[serde(deserialize_with = "recipe::read")]
    pub(crate) recipe: Recipe,
    /// `f32` or `bf16`: the number format of the forward pass.
    pub(crate) precision: String,
    /// The run's rows, so that it is not resumed on others.
    pub(crate) rows: Rows,
    /// Finished ones.
    pub(crate) epoch: u32,
    /// Steps done in the epoch under way.
    pub(crate) step: usize,
    /// Sums over those steps.
    pub(crate) sums: Sums,
    /// The best epoch so far by validation accuracy.
    pub(crate) best: Option<Best>,
    /// The source of its first weights; `None` if they were random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) started_from: Option<Provenance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) teachers: Option<Vec<Provenance>>,
}

impl State {
    /// Records the teachers at the start of a run, and rejects others when it is resumed.
    pub(crate) fn learns_from(&mut self, teachers: &[Provenance], path: &Path) -> Result<(), TrainError> {
        match &self.teachers {
            Some(before) if before != teachers => Err(TrainError::invalid(path)(
                "was distilled from other teachers than those in its folder".to_owned(),
            )),
            None if !teachers.is_empty() => {
                self.teachers = Some(teachers.to_vec());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Sums over the steps of an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    /// Of loss times rows.
    pub(crate) loss: f64,
    /// Of rows whose likeliest label was the true one.
    pub(crate) correct: u64,
    pub(crate) rows: u64,
}

#[allow(clippy::cast_precision_loss)]
impl Sums {
    pub(crate) fn mean_loss(&self) -> f64 {
        self.loss / self.rows.max(1) as f64
    }

    pub(crate) fn accuracy(&self) -> f64 {
        self.correct as f64 / self.rows.max(1) as f64
    }
}

#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) state: State,
    /// The weights that are trained.
    pub(crate) network: Network,
    /// Their running average, which is validated and exported.
    pub(crate) average: Network,
    pub(crate) soft_labels: SoftLabels,
    pub(crate) optimiser: Optimiser,
}

impl Checkpoint {
    /// Writes it; a failure (a full disk, …) leaves the file that was there.
    pub(crate) fn save(&self, path: &Path) -> Result<(), TrainError> {
        let tensors = prefixed("network/", self.network.tensors())
            .chain(prefixed("average/", self.average.tensors()))
            .chain(prefixed("momentum/", &self.optimiser.momentum))
            .chain(prefixed("squares/", &self.optimiser.squares))
            .chain(prefixed("memory/", [&self.soft_labels.average]));
        let state = serde_json::to_string(&self.state)
            .map_err(|e| TrainError::invalid(path)(format!("state: {e}")))?;
        write(path, tensors, Some(state))
    }

    pub(crate) fn load(path: &Path, device: Device) -> Result<Self, TrainError> {
        let file = WeightFile::read(path)?;
        let network = Network::blank(device)?;
        let average = network.snapshot()?;
        let state: State = file.state()?;
        let optimiser = Optimiser::new(&network, state.recipe.method)?;
        let soft_labels = SoftLabels::new(state.rows.train)?;
        file.fill("network/", network.tensors())?;
        file.fill("average/", average.tensors())?;
        file.fill("memory/", [&soft_labels.average])?;
        file.fill("momentum/", &optimiser.momentum)?;
        file.fill("squares/", &optimiser.squares)?;
        Ok(Self {
            state,
            network,
            average,
            soft_labels,
            optimiser,
        })
    }
}

/// The averaged network of a checkpoint and the state it was saved in.
pub fn load_average(path: &Path) -> Result<(Network, State), TrainError> {
    let file = WeightFile::read(path)?;
    let network = Network::blank(Device::Cpu)?;
    file.fill("average/", network.tensors())?;
    Ok((network, file.state()?))
}

/// Writes a network by its tensors' plain names: `model.safetensors`.
pub(crate) fn save_network(network: &Network, path: &Path) -> Result<(), TrainError> {
    write(path, prefixed("", network.tensors()), None)
}

/// Fills a network from such a file.
pub fn load_network(path: &Path, network: &Network) -> Result<(), TrainError> {
    WeightFile::read(path)?.fill("", network.tensors())
}

fn prefixed<'a>(
    prefix: &'a str,
    tensors: impl IntoIterator<Item = &'a Named>,
) -> impl Iterator<Item = (String, &'a Tensor)> {
    tensors
        .into_iter()
        .map(move |n| (format!("{prefix}{}", n.name), &n.tensor))
}

fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (String, &'a Tensor)>,
    state: Option<String>,
) -> Result<(), TrainError> {
    let mut data = Vec::new();
    for (name, tensor) in tensors {
        let flat = tensor
            .f_detach()?
            .f_to_device(Device::Cpu)?
            .f_contiguous()?
            .f_view([-1])?;
        let count = flat.numel();
        let mut bytes = vec![0u8; count * size_of::<f32>()];
        flat.f_copy_data_u8(&mut bytes, count)?;
        let shape = tensor
            .size()
            .into_iter()
            .map(|d| usize::try_from(d).unwrap_or(0))
            .collect::<Vec<_>>();
        data.push((name, shape, bytes));
    }
    let invalid = |e: safetensors::SafeTensorError| {
        TrainError::invalid(path)(format!("cannot be written as safetensors: {e}"))
    };
    let views = data
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(invalid)?;
    // One key only: the order of several keys, and with it the file's hash, would differ from run to run.
    let metadata = state.map(|s| HashMap::from([(METADATA.to_owned(), s)]));
    let bytes = safetensors::serialize(views, metadata).map_err(invalid)?;
    write_file(path, &bytes)
}

struct WeightFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl WeightFile {
    fn read(path: &Path) -> Result<Self, TrainError> {
        Ok(Self {
            path: path.to_owned(),
            bytes: std::fs::read(path).map_err(TrainError::file(path))?,
        })
    }

    fn invalid(&self, reason: String) -> TrainError {
        TrainError::invalid(&self.path)(reason)
    }

    fn not_whole(&self, error: &safetensors::SafeTensorError) -> TrainError {
        self.invalid(not_safetensors(error))
    }

    fn state(&self) -> Result<State, TrainError> {
        let (_, metadata) = SafeTensors::read_metadata(&self.bytes).map_err(|e| self.not_whole(&e))?;
        let state = metadata.metadata().as_ref().and_then(|m| m.get(METADATA));
        let state = state.ok_or_else(|| {
            self.invalid("holds weights but no training state: not a checkpoint of fer-train".to_owned())
        })?;
        serde_json::from_str(state)
            .map_err(|e| self.invalid(format!("its training state is not understood: {e}")))
    }

    fn fill<'a>(&self, prefix: &str, into: impl IntoIterator<Item = &'a Named>) -> Result<(), TrainError> {
        let _no_grad = tch::no_grad_guard();
        let file = SafeTensors::deserialize(&self.bytes).map_err(|e| self.not_whole(&e))?;
        for named in into {
            let name = format!("{prefix}{}", named.name);
            let shape = named.tensor.size();
            let sizes: Vec<_> = shape.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect();
            let view = find_tensor(&file, &name, &sizes).map_err(|reason| self.invalid(reason))?;
            let source = Tensor::f_from_data_size(view.data(), &shape, Kind::Float)?;
            named.tensor.shallow_clone().f_copy_(&channels_last(&source)?)?;
        }
        Ok(())
    }
}
