//! Flags that several subcommands have.

use clap::{Args, builder::NonEmptyStringValueParser};

use crate::{TrainError, export::Identity, progress::say};
use fer_engine::{self, Chosen, DeviceRequest, EngineRequest, ModelFolder};

/// What to run the network with.
#[derive(Debug, Clone, Copy, Args)]
pub struct EngineArgs {
    /// As the server's: torchscript, packed, or auto for the fastest that agrees with TorchScript
    #[arg(long, env = "FER_ENGINE", default_value_t = EngineRequest::Auto)]
    pub engine: EngineRequest,
    /// As the server's: f32, bf16, int8, or auto
    #[arg(long, env = "FER_PRECISION", default_value_t = engine::PrecisionRequest::Auto)]
    pub precision: engine::PrecisionRequest,
}

impl EngineArgs {
    /// The server's choice for that folder and device; says what it is.
    ///
    /// # Errors
    /// As [`engine::select()`].
    pub fn choose(&self, folder: &ModelFolder, device: tch::Device) -> Result<Chosen, TrainError> {
        let chosen = engine::select(folder, device, self.engine, self.precision, None)?;
        let info = chosen.info();
        say(&format!(
            "engine: {} {} on {}",
            info.engine, info.precision, info.device
        ));
        Ok(chosen)
    }
}

/// Where to compute.
#[derive(Debug, Clone, Copy, Args)]
pub struct MachineArgs {
    /// auto, cpu, cuda or cuda:N
    #[arg(long, env = "FER_DEVICE", default_value_t = DeviceRequest::Auto)]
    pub device: DeviceRequest,
    /// CPU threads [default: the cores this process may use]
    #[arg(long, env = "FER_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

impl MachineArgs {
    /// Sets libtorch's thread count for this process and says where to compute.
    ///
    /// # Errors
    /// CUDA was asked for and there is none.
    pub fn apply(&self) -> Result<tch::Device, TrainError> {
        let threads = self.threads.map_or_else(
            || std::thread::available_parallelism().map_or(1, |n| i32::try_from(n.get()).unwrap_or(1)),
            i32::from,
        );
        tch::set_num_threads(threads);
        Ok(self.device.resolve()?)
    }
}

/// How to read rows.
#[derive(Debug, Clone, Copy, Args)]
pub struct RowArgs {
    /// Leave bad rows out and say how many, instead of stopping at the first
    #[arg(long, env = "FER_SKIP_BAD_ROWS")]
    pub skip_bad_rows: bool,
}

/// What to call the model.
#[derive(Debug, Clone, Args)]
pub struct IdentityArgs {
    /// Name written into model.json
    #[arg(long, env = "FER_MODEL_NAME", default_value = "fer2013", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub model_name: String,
    /// Version written into model.json
    #[arg(long, env = "FER_MODEL_VERSION", default_value = "1", value_name = "VERSION", value_parser = NonEmptyStringValueParser::new())]
    pub model_version: String,
}

impl IdentityArgs {
    /// As the model folder has them.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            name: self.model_name.clone(),
            version: self.model_version.clone(),
        }
    }
}
