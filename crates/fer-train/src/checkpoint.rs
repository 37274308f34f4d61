//! All of a run's state in one safetensors file, and single networks in the same format.
//!
//! Tensors: `network/…` (trained weights and batch norm), `average/…` (the averaged ones), `momentum/…`, with Adam
//! `squares/…`, and `memory/probabilities`.
//! Metadata `fer-train`: [`State`] as JSON. Randomness needs no entry: all of it follows from the recipe's
//! seed, the epoch and the step.

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
};

use fer_engine::{
    folder::{Best, Provenance, Rows},
    network::{find_tensor, not_safetensors},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{
    TrainError,
    network::{Named, Network, channels_last},
    optimiser::Optimiser,
    recipe::Recipe,
    targets::Memory,
};

const METADATA: &str = "fer-train";

// Tensors are copied to and from the file as they lie in memory.
#[cfg(target_endian = "big")]
compile_error!("safetensors files are little-endian");

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The recipe.
    pub recipe: Recipe,
    /// `f32` or `bf16`: what the forward pass computed in.
    pub precision: String,
    /// What it was trained on, so that a run is not resumed on other rows.
    pub rows: Rows,
    /// Finished epochs.
    pub epoch: u32,
    /// Steps done in the epoch under way.
    pub step: usize,
    /// Sums over those steps.
    pub sums: Sums,
    /// The best epoch so far by validation accuracy.
    pub best: Option<Best>,
    /// Where its first weights come from; without it they were random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_from: Option<Provenance>,
    /// The networks it learns from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teachers: Option<Vec<Provenance>>,
}

impl State {
    /// Notes the teachers of a run at its start, and holds a resumed one to them.
    ///
    /// # Errors
    /// [`TrainError::Invalid`] if they are others than before.
    pub fn learns_from(&mut self, teachers: &[Provenance], path: &Path) -> Result<(), TrainError> {
        match &self.teachers {
            Some(before) if before != teachers => Err(TrainError::Invalid {
                path: path.to_owned(),
                reason: "has learnt from other teachers than those beside it".to_owned(),
            }),
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
pub struct Sums {
    /// Of loss times rows.
    pub loss: f64,
    /// Of rows whose likeliest label was the right one.
    pub correct: u64,
    /// Of rows.
    pub rows: u64,
}

/// Everything a run is.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where it stands.
    pub state: State,
    /// The weights being trained.
    pub network: Network,
    /// Their running average: what is validated and exported.
    pub average: Network,
    /// What the run said of each training row.
    pub memory: Memory,
    /// The optimiser.
    pub optimiser: Optimiser,
}

impl Checkpoint {
    /// Writes it; a failure leaves the file that was there.
    ///
    /// # Errors
    /// [`TrainError::File`] (a full disk, …) or what libtorch says.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let tensors = prefixed("network/", self.network.tensors())
            .chain(prefixed("average/", self.average.tensors()))
            .chain(prefixed("momentum/", self.optimiser.momentum().iter()))
            .chain(prefixed("squares/", self.optimiser.squares().iter()))
            .chain(prefixed("memory/", self.memory.tensors()));
        let state = serde_json::to_string(&self.state).map_err(|e| TrainError::Invalid {
            path: path.to_owned(),
            reason: format!("state: {e}"),
        })?;
        write(path, tensors, Some(state))
    }

    /// Reads it onto the device.
    ///
    /// # Errors
    /// [`TrainError::File`], or [`TrainError::Invalid`] if it is not a whole checkpoint of this network.
    pub fn load(path: &Path, device: Device) -> Result<Self, TrainError> {
        let file = WeightFile::read(path)?;
        let network = Network::blank(device)?;
        let average = network.snapshot()?;
        let state: State = file.state()?;
        let optimiser = Optimiser::new(&network, state.recipe.method)?;
        let memory = Memory::new(state.rows.train)?;
        file.fill("network/", network.tensors())?;
        file.fill("average/", average.tensors())?;
        file.fill("memory/", memory.tensors())?;
        file.fill("momentum/", optimiser.momentum().iter())?;
        file.fill("squares/", optimiser.squares().iter())?;
        Ok(Self {
            state,
            network,
            average,
            memory,
            optimiser,
        })
    }
}

/// The averaged network of a checkpoint and the state it was saved in.
///
/// # Errors
/// As [`Checkpoint::load`].
pub fn load_average(path: &Path) -> Result<(Network, State), TrainError> {
    let file = WeightFile::read(path)?;
    let network = Network::blank(Device::Cpu)?;
    file.fill("average/", network.tensors())?;
    Ok((network, file.state()?))
}

/// Writes a network by its tensors' plain names: `model.safetensors`.
///
/// # Errors
/// As [`Checkpoint::save`].
pub fn save_network(network: &Network, path: &Path) -> Result<(), TrainError> {
    write(path, prefixed("", network.tensors()), None)
}

/// Fills a network from such a file.
///
/// # Errors
/// As [`Checkpoint::load`].
pub fn load_network(path: &Path, network: &Network) -> Result<(), TrainError> {
    WeightFile::read(path)?.fill("", network.tensors())
}

fn prefixed<'a>(
    prefix: &'a str,
    tensors: impl Iterator<Item = &'a Named> + 'a,
) -> impl Iterator<Item = (String, &'a Tensor)> + 'a {
    tensors.map(move |n| (format!("{prefix}{}", n.name), &n.tensor))
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
        // As they lie in memory, which is how safetensors wants them: little-endian.
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
    let invalid = |e: safetensors::SafeTensorError| TrainError::Invalid {
        path: path.to_owned(),
        reason: format!("cannot be written as safetensors: {e}"),
    };
    let views = data
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(invalid)?;
    // One key only: with several their order, and so the file's hash, would differ from run to run.
    let metadata = state.map(|s| HashMap::from([(METADATA.to_owned(), s)]));
    let bytes = safetensors::serialize(views, metadata).map_err(invalid)?;
    fer_engine::files::replace(path, |f| f.write_all(&bytes)).map_err(TrainError::file(path))
}

/// A safetensors file in memory.
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
        TrainError::Invalid {
            path: self.path.clone(),
            reason,
        }
    }

    fn tensors(&self) -> Result<SafeTensors<'_>, TrainError> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| self.not_whole(&e))
    }

    fn not_whole(&self, error: &safetensors::SafeTensorError) -> TrainError {
        self.invalid(not_safetensors(error))
    }

    fn state(&self) -> Result<State, TrainError> {
        let (_, metadata) = SafeTensors::read_metadata(&self.bytes).map_err(|e| self.not_whole(&e))?;
        let state = metadata.metadata().as_ref().and_then(|m| m.get(METADATA));
        let Some(state) = state else {
            return Err(
                self.invalid("holds weights but no training state: not a checkpoint of fer-train".to_owned())
            );
        };
        serde_json::from_str(state)
            .map_err(|e| self.invalid(format!("its training state is not understood: {e}")))
    }

    fn fill<'a>(&self, prefix: &str, into: impl Iterator<Item = &'a Named>) -> Result<(), TrainError> {
        let _no_grad = tch::no_grad_guard();
        let file = self.tensors()?;
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
