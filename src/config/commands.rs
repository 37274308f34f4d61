//! Flags that several commands share, and those of the other commands.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf};

use clap::{Args, ValueEnum};
use fer_engine::{DeviceRequest, EngineRequest, PrecisionRequest};

use super::{
    LISTEN, MAX_PIXELS,
    values::{count, log_filter, pixels},
};

#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArgs {
    /// Model folder (model.json, model.pt, …)
    #[arg(long, env = "FER_MODEL", value_name = "DIR", default_value = "model")]
    pub(crate) model: PathBuf,
    /// auto, cpu, cuda or cuda:N; auto takes the first GPU if there is one
    #[arg(long, env = "FER_DEVICE", default_value_t = DeviceRequest::Auto)]
    pub(crate) device: DeviceRequest,
    /// What runs the network: torchscript is libtorch on model.pt; packed is this program's own loops on
    /// model.safetensors, CPU only; auto takes the fastest that agrees with TorchScript at the start
    #[arg(long, env = "FER_ENGINE", default_value_t = EngineRequest::Auto)]
    pub(crate) engine: EngineRequest,
    /// auto, f32, bf16 or int8
    #[arg(long, env = "FER_PRECISION", default_value_t = PrecisionRequest::Auto)]
    pub(crate) precision: PrecisionRequest,
    /// Intra-op threads of each worker
    #[arg(long, env = "FER_THREADS", value_name = "N", default_value = "1", value_parser = count(1024))]
    pub(crate) threads: NonZeroUsize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct LogArgs {
    /// Form of the log on standard error
    #[arg(long, env = "FER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as info,fer_serve=debug
    #[arg(long = "log", env = "FER_LOG", value_name = "FILTER", default_value = "info", value_parser = log_filter)]
    pub(crate) log_filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text lines.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Clone, Args)]
pub struct PredictArgs {
    /// Picture files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Most pixels (width × height) of a picture
    #[arg(long, env = "FER_MAX_PIXELS", value_name = "N", default_value = MAX_PIXELS, value_parser = pixels())]
    pub(crate) max_pixels: u64,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Model folder (model.json, model.pt, …)
    #[arg(long, env = "FER_MODEL", value_name = "DIR", default_value = "model")]
    pub(crate) model: PathBuf,
    /// Print one JSON object instead of a table
    #[arg(long, env = "FER_JSON")]
    pub(crate) json: bool,
    /// Faces in a call, several sizes
    #[arg(long, env = "FER_BATCHES", value_name = "N,…", value_delimiter = ',', default_value = "1,8,32", value_parser = count(1024))]
    pub(crate) batches: Vec<NonZeroUsize>,
    /// Workers at once, one thread each, several counts
    #[arg(long, env = "FER_WORKERS", value_name = "N,…", value_delimiter = ',', default_value = "1,2", value_parser = count(1024))]
    pub(crate) workers: Vec<NonZeroUsize>,
    /// Measurements of each point; the median counts
    #[arg(long, env = "FER_REPEATS", value_name = "N", default_value = "5", value_parser = count(1000))]
    pub(crate) repeats: NonZeroUsize,
    /// Length of a measurement in milliseconds
    #[arg(long, env = "FER_DURATION_MS", value_name = "N", default_value = "200", value_parser = count(60_000))]
    pub(crate) duration_ms: NonZeroUsize,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Clone, Args)]
pub struct HealthcheckArgs {
    /// Address to ask [default: http://127.0.0.1:PORT/readyz with the port of FER_LISTEN]
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The address the server listens on, of which the port is asked
    #[arg(long, env = "FER_LISTEN", value_name = "ADDR", default_value = LISTEN)]
    pub(crate) listen: SocketAddr,
    /// The server's certificate; if set, the probe uses https and does not verify the certificate [default: none, http]
    #[arg(long, env = "FER_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
}
