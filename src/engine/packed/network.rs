//! A model folder's weights as plain numbers.

use tch::{Device, Kind};

use super::pack::Plain;
use crate::{
    engine::{EngineError, FILE_SAFETENSORS, InputSpec, ModelFolder},
    train::{checkpoint::fill_network, export::fold, network::Network},
};

/// The weights of a model folder, ready to be packed.
#[derive(Debug, Clone)]
pub struct PlainNetwork {
    /// The seven layers, batch norm folded in.
    pub layers: Vec<Plain>,
    /// How gray values are scaled.
    pub input: InputSpec,
}

impl PlainNetwork {
    /// Takes `model.safetensors` as it was checked.
    ///
    /// # Errors
    /// [`EngineError::Packed`] if the folder has none, [`EngineError::Invalid`] if it is not this network's,
    /// [`EngineError::Torch`] if libtorch refuses.
    pub fn load(folder: &ModelFolder) -> Result<Self, EngineError> {
        let path = folder.file(FILE_SAFETENSORS);
        let weights = folder
            .weights()
            .ok_or_else(|| EngineError::Packed(format!("the model folder has no {FILE_SAFETENSORS}")))?;
        let network = Network::blank(Device::Cpu)?;
        fill_network(&path, weights, &network).map_err(|e| EngineError::Invalid {
            path,
            reason: e.to_string(),
        })?;
        Self::from_network(&network, folder.manifest().input)
    }

    /// Folds a network.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn from_network(network: &Network, input: InputSpec) -> Result<Self, EngineError> {
        let numbers = |t: &tch::Tensor| {
            let mut values = vec![0f32; t.numel()];
            let count = values.len();
            t.f_to_kind(Kind::Float)?
                .f_contiguous()?
                .f_copy_data(&mut values, count)?;
            Ok::<_, tch::TchError>(values)
        };
        let layers = fold(network)?
            .iter()
            .map(|l| {
                Ok(Plain {
                    weight: numbers(&l.weight)?,
                    bias: numbers(&l.bias)?,
                })
            })
            .collect::<Result<_, tch::TchError>>()?;
        Ok(Self { layers, input })
    }
}
