//! The network as plain numbers: its table of layers, its weights, and batch norm folded into them.
//!
//! Export, the packed engine and training all use this one description. It needs no libtorch.

mod fold;
mod layers;
mod weights;

pub use fold::{Folded, FoldedNetwork};
pub use layers::{BATCH_NORM_EPSILON, Kernel, LAYERS, Layer};
pub(crate) use weights::read_weights;
pub use weights::{BatchNorm, LayerWeights, find_tensor, not_safetensors};
