//! What turns faces into logits: the model folder, and the engines that run it.
//!
//! Tensors stay below this module; callers hand in [`Face`]s and get seven logits each.

pub mod emotion;
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

pub use folder::{
    FILE_MANIFEST, FILE_SAFETENSORS, FILE_TORCHSCRIPT, FileEntry, InputSpec, Manifest, ModelFolder, sha256_hex,
};
pub use network::FoldedNetwork;
pub use packed::{QuantRanges, Isa, Packed, Precision, calibrate};
pub use probe::drawn_faces;
pub use request::{EngineRequest, PrecisionRequest};
pub use select::{Chosen, Incumbent, select};
pub use temperature::{BeforeAfter, TEMPERATURES, TemperatureFit, WithTemperature, apply_temperature};
pub use torchscript::{FoldedModule, TorchScript, save_torchscript, to_input, to_logits};

use std::{fmt, path::PathBuf, str::FromStr};

use crate::emotion::CLASSES;
use fer_image::Face;

/// The network's raw output for one face, in the order of [`crate::emotion::Emotion::ALL`].
pub type Logits = [f32; CLASSES];

/// Runs the network. One instance belongs to one OS thread for its whole life: libtorch keeps
/// thread-local state (gradient mode, memory caches, thread counts).
pub trait Classifier {
    /// Seven logits for each face, in the order given. An empty slice gives an empty answer.
    ///
    /// # Errors
    /// [`EngineError::Torch`] if libtorch refuses, [`EngineError::Shape`] if the module's output is not `[N,7]`.
    fn classify(&mut self, faces: &[Face]) -> Result<Vec<Logits>, EngineError>;

    /// What runs, for `/model`, the log and `fer_model_info`.
    fn info(&self) -> EngineInfo;
}

/// What an engine is, as shown in `/model`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EngineInfo {
    /// `torchscript` or `packed`.
    pub engine: &'static str,
    /// `f32`, `bf16` or `int8`.
    pub precision: &'static str,
    /// `cpu` or `cuda:N`.
    pub device: String,
}

impl EngineInfo {
    /// The packed engine's precision; `None` if it is another engine.
    #[must_use]
    pub fn packed(&self) -> Option<Precision> {
        let precision = || Precision::ALL.into_iter().find(|p| p.name() == self.precision);
        (self.engine == "packed").then(precision)?
    }
}

/// Where to run, as the user asks for it: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceRequest {
    /// The first CUDA device if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// That CUDA device; an error where there is none.
    Cuda(usize),
}

impl FromStr for DeviceRequest {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => s
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("'{s}' is not a device; use auto, cpu, cuda or cuda:N")),
        }
    }
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

impl DeviceRequest {
    /// The device to use here.
    ///
    /// # Errors
    /// [`EngineError::NoCuda`] if CUDA is asked for and this build, this machine or that index has none.
    pub fn resolve(self) -> Result<tch::Device, EngineError> {
        let built = tch::utils::has_cuda();
        let devices = if built {
            usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
        } else {
            0
        };
        match self {
            Self::Cpu => Ok(tch::Device::Cpu),
            Self::Auto => Ok(if devices > 0 {
                tch::Device::Cuda(0)
            } else {
                tch::Device::Cpu
            }),
            Self::Cuda(n) if n < devices => Ok(tch::Device::Cuda(n)),
            Self::Cuda(n) => Err(EngineError::NoCuda {
                wanted: n,
                devices,
                cuda_library: cuda_linked(),
            }),
        }
    }
}

/// Whether the CUDA half of libtorch is linked into this program (a GPU need not be present).
#[must_use]
pub fn cuda_linked() -> bool {
    tch::utils::has_cudart()
}

/// The version of cuDNN in this build (91002 is 9.10.2); `None` in a build without CUDA.
#[must_use]
pub fn cudnn_version() -> Option<i64> {
    // Without the CUDA half of libtorch the question itself is an error there.
    cuda_linked().then(tch::utils::version_cudnn)
}

/// The name of a device as users write it.
#[must_use]
pub fn device_name(device: tch::Device) -> String {
    match device {
        tch::Device::Cuda(n) => format!("cuda:{n}"),
        _ => "cpu".to_owned(),
    }
}

/// What can go wrong between a model folder and its logits.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file of the model folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file of the model folder cannot be written.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file of the model folder is not what it should be.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// CUDA was asked for and cannot be had.
    #[error("{}", no_cuda(*.wanted, *.devices, *.cuda_library))]
    NoCuda {
        /// The index asked for.
        wanted: usize,
        /// How many CUDA devices there are.
        devices: usize,
        /// Whether this build has the CUDA half of libtorch.
        cuda_library: bool,
    },
    /// libtorch said no.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The packed engine cannot be had, for the reason given.
    #[error("packed engine: {0}")]
    Packed(String),
    /// The module does not map `[N,1,48,48]` to `[N,7]`.
    #[error("the model gives an output of shape {got:?}; [{batch}, 7] is wanted")]
    Shape {
        /// What came.
        got: Vec<i64>,
        /// The batch that went in.
        batch: usize,
    },
}

fn no_cuda(wanted: usize, devices: usize, cuda_library: bool) -> String {
    if !cuda_library {
        format!(
            "--device cuda:{wanted} was asked for, but this build has no CUDA: build it with `make build DEVICE=cuda`, or use --device cpu"
        )
    } else if devices == 0 {
        format!(
            "--device cuda:{wanted} was asked for, but no CUDA device is visible: check the driver (nvidia-smi) and the container's GPU flag, or use --device cpu"
        )
    } else {
        format!(
            "--device cuda:{wanted} was asked for, but there are {devices} CUDA devices (0–{})",
            devices - 1
        )
    }
}
