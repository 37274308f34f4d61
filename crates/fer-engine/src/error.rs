//! What can go wrong between a model folder and its logits.

use std::path::PathBuf;

/// What can go wrong between a model folder and its logits.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file of the model folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file of the model folder cannot be written.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
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
    /// CUDA was asked for and is not available.
    #[error("{}", no_cuda(*.index, *.devices, *.cuda_library))]
    NoCuda {
        /// The index asked for.
        index: usize,
        /// How many CUDA devices there are.
        devices: usize,
        /// Whether this build has the CUDA half of libtorch.
        cuda_library: bool,
    },
    /// An operation of libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The packed engine is not available, for the reason given.
    #[error("packed engine: {0}")]
    Packed(String),
    /// The module does not map `[N,1,48,48]` to `[N,7]`.
    #[error("the model gives an output of shape {got:?}; expected [{batch}, 7]")]
    Shape {
        /// Its output's shape.
        got: Vec<i64>,
        /// Images of the batch.
        batch: usize,
    },
}

fn no_cuda(index: usize, devices: usize, cuda_library: bool) -> String {
    if !cuda_library {
        format!(
            "--device cuda:{index} was asked for, but this build has no CUDA: build it with `make build DEVICE=cuda`, or use --device cpu"
        )
    } else if devices == 0 {
        format!(
            "--device cuda:{index} was asked for, but no CUDA device is visible: check the driver (nvidia-smi) and the container's GPU flag, or use --device cpu"
        )
    } else {
        format!(
            "--device cuda:{index} was asked for, but there are {devices} CUDA devices (0–{})",
            devices - 1
        )
    }
}
