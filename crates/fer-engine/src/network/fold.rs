//! Batch norm folded into the layer before it.

use super::{BATCH_NORM_EPSILON, LayerWeights, read_weights};
use crate::{EngineError, FILE_SAFETENSORS, InputSpec, ModelFolder};

/// A layer with batch norm folded in.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// `[outputs, inputs, size, size]` or `[outputs, inputs]`, row-major.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

impl From<&LayerWeights> for Folded {
    /// Writes `γ(Wx + b − µ)/√(σ² + ε) + β` as `W'x + b'`, computed in double precision and rounded once.
    fn from(layer: &LayerWeights) -> Self {
        let LayerWeights { weight, bias, norm } = layer;
        let Some(norm) = norm else {
            return Self {
                weight: weight.clone(),
                bias: bias.clone(),
            };
        };
        let double = |values: &[f32], i: usize| f64::from(values[i]);
        let mut folded = Self {
            weight: Vec::with_capacity(weight.len()),
            bias: Vec::with_capacity(bias.len()),
        };
        for (i, row) in weight.chunks_exact(weight.len() / bias.len()).enumerate() {
            let factor = double(&norm.scale, i) / (double(&norm.variance, i) + BATCH_NORM_EPSILON).sqrt();
            folded
                .weight
                .extend(row.iter().map(|w| (f64::from(*w) * factor) as f32));
            let shifted = (double(bias, i) - double(&norm.mean, i)) * factor + double(&norm.shift, i);
            folded.bias.push(shifted as f32);
        }
        folded
    }
}

/// The seven layers with batch norm folded in, and how their input is scaled.
#[derive(Debug, Clone)]
pub struct FoldedNetwork {
    /// The layers of [`LAYERS`](super::LAYERS).
    pub layers: Vec<Folded>,
    /// How gray values are scaled.
    pub input: InputSpec,
}

impl FoldedNetwork {
    /// Reads `model.safetensors` as it was when the folder was checked.
    ///
    /// # Errors
    /// [`EngineError::Packed`] if the folder has none, [`EngineError::Invalid`] if it is not this network's.
    pub fn load(folder: &ModelFolder) -> Result<Self, EngineError> {
        let bytes = folder
            .weights()
            .ok_or_else(|| EngineError::Packed(format!("the model folder has no {FILE_SAFETENSORS}")))?;
        let weights = read_weights(bytes).map_err(|reason| EngineError::Invalid {
            path: folder.file(FILE_SAFETENSORS),
            reason,
        })?;
        Ok(Self {
            layers: weights.iter().map(Folded::from).collect(),
            input: *folder.manifest().input,
        })
    }
}
