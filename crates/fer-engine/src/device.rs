//! Where an engine runs.

use std::{fmt, str::FromStr};

use crate::EngineError;

/// `--device`: `auto`, `cpu`, `cuda` or `cuda:N`.
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
        let devices = if tch::utils::has_cuda() {
            usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
        } else {
            0
        };
        match self {
            Self::Auto if devices > 0 => Ok(tch::Device::Cuda(0)),
            Self::Auto | Self::Cpu => Ok(tch::Device::Cpu),
            Self::Cuda(n) if n < devices => Ok(tch::Device::Cuda(n)),
            Self::Cuda(n) => Err(EngineError::NoCuda(no_cuda(n, devices, cuda_linked()))),
        }
    }
}

fn no_cuda(index: usize, devices: usize, cuda_library: bool) -> String {
    let why = if !cuda_library {
        "this build has no CUDA: build it with `make build DEVICE=cuda`, or use --device cpu".to_owned()
    } else if devices == 0 {
        "no CUDA device is visible: check the driver (nvidia-smi) and the container's GPU flag, or use --device cpu"
            .to_owned()
    } else {
        format!("there are {devices} CUDA devices (0–{})", devices - 1)
    };
    format!("--device cuda:{index} was asked for, but {why}")
}

/// Whether the CUDA half of libtorch is linked into this program (a GPU need not be present).
#[must_use]
pub fn cuda_linked() -> bool {
    tch::utils::has_cudart()
}

/// The name of a device as users write it.
#[must_use]
pub fn device_name(device: tch::Device) -> String {
    match device {
        tch::Device::Cuda(n) => format!("cuda:{n}"),
        _ => "cpu".to_owned(),
    }
}
