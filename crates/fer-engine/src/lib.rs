//! The model folder, and the engines that turn faces into logits.
//!
//! Tensors stay in this crate; callers pass [`Face`](fer_image::Face)s and get seven [`Logits`] each.
//!
//! - [`Classifier`]: the interface of every engine; [`EngineError`]
//! - [`folder`]: `model.json` and the files that it names; [`files`] writes them
//! - [`emotion`]: the labels and a probability vector over them; `temperature`: calibrated logits
//! - [`network`]: the table of layers, weights, batch norm folded in; knows no tensors
//! - `torchscript`: runs any module on libtorch; the reference for other engines
//! - [`packed`]: runs this network on the CPU's matrix instructions, without libtorch
//! - [`mod@select`]: which engine serves: candidates that agree with the reference, the fastest of them
//! - `request`, `device`: `--engine`, `--precision` and `--device`
//! - [`drawn_faces`]: deterministic faces to check and time engines with

mod classifier;
mod device;
pub mod emotion;
mod error;
pub mod files;
pub mod folder;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod network;
pub mod packed;
mod probe;
mod request;
pub mod select;
mod temperature;
#[cfg(test)]
mod testing;
mod torchscript;

pub use classifier::{Classifier, EngineInfo, Logits};
pub use device::{DeviceRequest, cuda_linked, device_name};
pub use error::EngineError;
pub use folder::{
    FILE_MANIFEST, FILE_SAFETENSORS, FILE_TORCHSCRIPT, FileEntry, InputSpec, Manifest, ModelFolder,
};
pub use network::FoldedNetwork;
pub use packed::{Isa, Packed, Precision, QuantRanges, calibrate};
pub use probe::drawn_faces;
pub use request::{EngineRequest, PrecisionRequest};
pub use select::{Chosen, Incumbent, select};
pub use temperature::{BeforeAfter, TemperatureFit, apply_temperature};
pub use torchscript::{TorchScript, as_i64, save_torchscript, to_logits};
