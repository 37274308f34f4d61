//! Flags that several subcommands have.

use clap::Args;

use crate::{error::TrainError, output::say};
use fer_engine::{Chosen, DeviceRequest, EngineRequest, ModelFolder, PrecisionRequest};

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct EngineArgs {
    /// As in the server: torchscript, packed, or auto for the fastest that agrees with TorchScript
    #[arg(long, env = "FER_ENGINE", default_value_t = EngineRequest::Auto)]
    pub(crate) engine: EngineRequest,
    /// As in the server: f32, bf16, int8, or auto
    #[arg(long, env = "FER_PRECISION", default_value_t = PrecisionRequest::Auto)]
    pub(crate) precision: PrecisionRequest,
}

impl EngineArgs {
    /// Chooses an engine for that folder and device as the server does, and says which.
    pub(crate) fn choose(&self, folder: &ModelFolder, device: tch::Device) -> Result<Chosen, TrainError> {
        let chosen = fer_engine::select(folder, device, self.engine, self.precision, None)?;
        let info = chosen.info();
        say(&format!(
            "engine: {} {} on {}",
            info.engine, info.precision, info.device
        ));
        Ok(chosen)
    }
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct MachineArgs {
    /// auto, cpu, cuda or cuda:N
    #[arg(long, env = "FER_DEVICE", default_value_t = DeviceRequest::Auto)]
    pub(crate) device: DeviceRequest,
    /// CPU threads [default: the cores this process may use]
    #[arg(long, env = "FER_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

impl MachineArgs {
    /// Sets libtorch's thread count for this process; returns the device.
    pub(crate) fn apply(&self) -> Result<tch::Device, TrainError> {
        let threads = self.threads.map_or_else(
            || std::thread::available_parallelism().map_or(1, |n| i32::try_from(n.get()).unwrap_or(1)),
            i32::from,
        );
        tch::set_num_threads(threads);
        Ok(self.device.resolve()?)
    }
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct RowArgs {
    /// Skip bad rows and say how many, instead of stopping at the first
    #[arg(long, env = "FER_SKIP_BAD_ROWS")]
    pub(crate) skip_bad_rows: bool,
}
