//! `model.safetensors` → the weights of every layer.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::LAYERS;

/// The trained numbers of one layer, batch norm not yet folded in.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerWeights {
    /// `[outputs, inputs, size, size]` or `[outputs, inputs]`, row-major.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
    /// The batch norm that follows, if one does.
    pub norm: Option<BatchNorm>,
}

/// Batch norm of one layer, `[outputs]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// γ.
    pub scale: Vec<f32>,
    /// β.
    pub shift: Vec<f32>,
    /// Running mean.
    pub mean: Vec<f32>,
    /// Running variance.
    pub variance: Vec<f32>,
}

impl LayerWeights {
    /// Collects the tensors of every layer of [`LAYERS`] by their names, `conv1.weight`, `conv1.bn.running_mean`, ….
    ///
    /// # Errors
    /// The first error of `tensor`.
    pub fn collect<E>(mut tensor: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>) -> Result<Vec<Self>, E> {
        LAYERS
            .iter()
            .map(|layer| {
                let outputs = [layer.outputs];
                let mut get = |what: &str, shape: &[usize]| tensor(&format!("{}.{what}", layer.name), shape);
                Ok(Self {
                    weight: get("weight", &layer.weight_shape())?,
                    bias: get("bias", &outputs)?,
                    norm: if layer.batch_norm {
                        Some(BatchNorm {
                            scale: get("bn.weight", &outputs)?,
                            shift: get("bn.bias", &outputs)?,
                            mean: get("bn.running_mean", &outputs)?,
                            variance: get("bn.running_var", &outputs)?,
                        })
                    } else {
                        None
                    },
                })
            })
            .collect()
    }
}

/// Reads the bytes of a `model.safetensors`.
pub(crate) fn read_weights(bytes: &[u8]) -> Result<Vec<LayerWeights>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| not_safetensors(&e))?;
    LayerWeights::collect(|name, shape| {
        let view = find_tensor(&file, name, shape)?;
        // The chunks are four bytes long because the type was checked.
        let (numbers, _) = view.data().as_chunks::<4>();
        Ok(numbers.iter().map(|n| f32::from_le_bytes(*n)).collect())
    })
}

/// The message for bytes that are not a safetensors file.
#[must_use]
pub fn not_safetensors(error: &safetensors::SafeTensorError) -> String {
    format!("not a whole safetensors file ({error}); it may be cut short or of another kind")
}

/// A float tensor of that shape in a safetensors file.
///
/// # Errors
/// A sentence if it is missing or has another type or shape.
pub fn find_tensor<'a>(
    file: &SafeTensors<'a>,
    name: &str,
    shape: &[usize],
) -> Result<TensorView<'a>, String> {
    let view = file.tensor(name).map_err(|_| format!("has no tensor '{name}'"))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(format!(
            "tensor '{name}' is {:?} {:?}; expected F32 {shape:?}",
            view.dtype(),
            view.shape()
        ));
    }
    Ok(view)
}
