//! Flags and environment of `fer-serve`. clap's structs are the configuration: a flag is one field, with its default, its
//! help and the parser that validates it, and a line in [`log`] if the log shows it.
//!
//! An invalid value ends the program with exit code 2 and a message that names the flag.

mod access;
mod commands;
mod container;
mod log;
mod values;

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};
use fer_image::faces::Options;

pub(crate) use access::AccessArgs;
pub(crate) use commands::{BenchArgs, HealthcheckArgs, LogArgs, LogFormat, ModelArgs, PredictArgs};
pub(crate) use container::LIGHT_MEMORY;
use values::{collector, count, duration, pixels, positive, size};

/// Places in the queue for each request in flight, by default.
const QUEUE_FACTOR: usize = 4;
/// Upper limit of requests in flight as a multiple of the lower one. With more, requests wait longer under overload and no
/// more are answered (docs/performance.md, knobs).
const IN_FLIGHT_FACTOR: usize = 3;

/// Which expression does this face show? An HTTP service.
#[derive(Debug, Parser)]
#[command(name = "fer-serve", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Config,
}

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve (what happens without a command, too)
    Run(Box<Config>),
    /// Classify picture files, one JSON answer a line, no server
    Predict(PredictArgs),
    /// Images per second of the loaded model in this process: engines, precisions, batches, workers
    Bench(BenchArgs),
    /// Exit 0 if a server is ready, 1 if not; for a container's HEALTHCHECK
    Healthcheck(HealthcheckArgs),
}

const LISTEN: &str = "0.0.0.0:8080";
const MAX_PIXELS: &str = "50000000";

/// The server's configuration. Defaults that depend on other flags or on the device are methods.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "FER_LISTEN", value_name = "ADDR", default_value = LISTEN)]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Worker threads, each with an engine of its own [default: one for each CPU the cgroup grants; 1 on CUDA]
    #[arg(long, env = "FER_WORKERS", value_name = "N", value_parser = count(1024))]
    workers: Option<NonZeroUsize>,
    /// Threads that decode pictures [default: one for each CPU the cgroup grants]
    #[arg(long, env = "FER_DECODE_THREADS", value_name = "N", value_parser = count(1024))]
    decode_threads: Option<NonZeroUsize>,
    /// Threads that look for faces in photos [default: half of --decode-threads, at least 1]
    #[arg(long, env = "FER_DETECT_THREADS", value_name = "N", value_parser = count(1024))]
    detect_threads: Option<NonZeroUsize>,
    /// Most faces of a photo that are answered, the largest ones
    #[arg(long, env = "FER_MAX_FACES", value_name = "N", default_value = "64", value_parser = count(Options::MOST_FACES))]
    pub(crate) max_faces: NonZeroUsize,
    /// Most faces in a batch [default: 8; 32 on CUDA]
    #[arg(long, env = "FER_MAX_BATCH", value_name = "N", value_parser = count(1024))]
    max_batch: Option<NonZeroUsize>,
    /// How long the oldest face waits for others to fill a batch; worth a millisecond on a GPU only
    #[arg(long, env = "FER_BATCH_LINGER", value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub(crate) batch_linger: Duration,
    /// Faces that may wait for a worker [default: 4 × the least --max-in-flight]
    #[arg(long, env = "FER_QUEUE", value_name = "N", value_parser = count(1 << 20))]
    queue: Option<NonZeroUsize>,
    /// Requests with work that may be in flight, from head to answer (but for waiting for the body); more get 503 [default: adaptive: the requests answered in 150 ms, clamped to 96–288 for each worker (1024–3072 on CUDA)]
    #[arg(long, env = "FER_MAX_IN_FLIGHT", value_name = "N", value_parser = count(1 << 16))]
    max_in_flight: Option<NonZeroUsize>,
    /// Connections that may be open; for one more, the one that has been idle longest is closed (a pause within a body counts as idle after 5 s)
    #[arg(long, env = "FER_MAX_CONNECTIONS", value_name = "N", default_value = "4096", value_parser = count(1 << 20))]
    pub(crate) max_connections: NonZeroUsize,
    /// Time for an answer once the request's body is there; then 504
    #[arg(long, env = "FER_REQUEST_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = positive)]
    pub request_timeout: Duration,
    /// Time for a request's head to arrive, the first one with the TLS handshake before it; an idle connection is closed after it, too
    #[arg(long, env = "FER_HEADER_TIMEOUT", value_name = "TIME", default_value = "75s", value_parser = positive)]
    pub(crate) header_timeout: Duration,
    /// Time for a request's body to arrive; then 408
    #[arg(long, env = "FER_BODY_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = positive)]
    pub body_timeout: Duration,
    /// Most bytes of a request's body; more get 413 (units: k, M, G or Ki, Mi, Gi)
    #[arg(long, env = "FER_MAX_BODY", value_name = "BYTES", default_value = "20Mi", value_parser = size)]
    pub max_body: u64,
    /// Most bytes of bodies held at one time, all requests together; more get 503 [default: an eighth of the container's memory, at most 512Mi]
    #[arg(long, env = "FER_MAX_BUFFERED", value_name = "BYTES", value_parser = size)]
    max_buffered: Option<u64>,
    /// Most pixels (width × height) of a picture; more get 422
    #[arg(long, env = "FER_MAX_PIXELS", value_name = "N", default_value = MAX_PIXELS, value_parser = pixels())]
    pub max_pixels: u64,
    /// Where pictures are decoded: confined is in processes that can open nothing and have limits of memory and time; in-process is on threads without them; auto is confined where the system allows it
    #[arg(long, env = "FER_DECODERS", value_enum, default_value_t = DecoderPlace::Auto)]
    pub(crate) decoders: DecoderPlace,
    /// Processor time that decoding a picture may take, and finding its faces; then 422
    #[arg(long, env = "FER_DECODE_TIMEOUT", value_name = "TIME", default_value = "2s", value_parser = positive)]
    pub(crate) decode_timeout: Duration,
    /// Memory for decoding large pictures, all together; a picture that needs more gets 422, one that finds too little left waits [default: what the container's memory leaves, at most 1Gi]
    #[arg(long, env = "FER_DECODE_MEMORY", value_name = "BYTES", value_parser = size)]
    decode_memory: Option<u64>,
    /// Most pictures in a request; more get 413
    #[arg(long, env = "FER_MAX_IMAGES", value_name = "N", default_value = "64", value_parser = count(4096))]
    pub max_images: NonZeroUsize,
    /// After SIGTERM, how long to go on serving with /readyz at 503 before no more connections are accepted
    #[arg(long, env = "FER_DRAIN_DELAY", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) drain_delay: Duration,
    /// After that, how long requests in flight may take to end
    #[arg(long, env = "FER_DRAIN_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = duration)]
    pub(crate) drain_timeout: Duration,
    /// How long a worker may be inside the network before /livez returns 503, so that the orchestrator restarts the server
    #[arg(long, env = "FER_WEDGE_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = positive)]
    pub(crate) wedge_timeout: Duration,
    /// OpenTelemetry collector that gets a span of each request but probes, OTLP over plain HTTP; needs a build with the
    /// feature otlp [default: none]
    #[arg(long, env = "FER_OTLP_ENDPOINT", value_name = "URL", value_parser = collector)]
    pub(crate) otlp_endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Bytes of memory that the cgroup grants, if there is a limit.
    #[arg(skip = container::memory())]
    memory: Option<u64>,
    /// CPUs that the cgroup grants, at least 1.
    #[arg(skip = cpus())]
    pub(crate) cpus: NonZeroUsize,
}

/// Where images are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecoderPlace {
    Auto,
    Confined,
    InProcess,
}

impl Config {
    /// Most bytes of bodies held at one time.
    pub(crate) fn max_buffered(&self) -> u64 {
        const MOST: u64 = 512 << 20;
        self.max_buffered.unwrap_or_else(|| {
            let share = self.memory.map_or(MOST, |memory| memory / 8);
            share.clamp(self.max_body.min(MOST), MOST)
        })
    }

    /// Bytes of memory for decoding large images, all together.
    pub(crate) fn decode_memory(&self) -> u64 {
        const MOST: u64 = 1 << 30;
        const LEAST: u64 = 64 << 20;
        self.decode_memory.unwrap_or_else(|| {
            let Some(memory) = self.memory else { return MOST };
            // The server with its model and bodies, and each decoder of small images at its limit.
            let light = (self.decode_threads().get() as u64 + 1) * container::LIGHT_DECODER;
            let rest = memory.saturating_sub(container::SERVER + self.max_buffered() + light);
            rest.clamp(LEAST, MOST)
        })
    }

    /// Worker threads; by default one for each CPU, or one on CUDA.
    pub(crate) fn workers(&self, cuda: bool) -> NonZeroUsize {
        self.workers
            .unwrap_or(if cuda { NonZeroUsize::MIN } else { self.cpus })
    }

    /// Threads that decode images; by default one for each CPU.
    pub(crate) fn decode_threads(&self) -> NonZeroUsize {
        self.decode_threads.unwrap_or(self.cpus)
    }

    /// Threads that look for faces in photos; by default half of [`Config::decode_threads`], at least 1.
    pub(crate) fn detect_threads(&self) -> NonZeroUsize {
        self.detect_threads
            .or(NonZeroUsize::new(self.decode_threads().get() / 2))
            .unwrap_or(NonZeroUsize::MIN)
    }

    /// Most faces in a batch; by default 8 (no CPU engine is faster with more, and each face waits for its whole batch), or
    /// 32 on CUDA.
    pub(crate) fn max_batch(&self, cuda: bool) -> NonZeroUsize {
        const CPU: NonZeroUsize = NonZeroUsize::new(8).unwrap();
        const CUDA: NonZeroUsize = NonZeroUsize::new(32).unwrap();
        self.max_batch.unwrap_or(if cuda { CUDA } else { CPU })
    }

    /// Lower limit of requests in flight; by default 96 for each CPU worker, a wait of an eighth of a second at 800 faces a
    /// second (docs/performance.md, knobs).
    pub(crate) fn max_in_flight(&self, cuda: bool) -> usize {
        match self.max_in_flight {
            Some(n) => n.get(),
            None if cuda => 1024,
            None => self.workers(cuda).get().saturating_mul(96),
        }
    }

    /// Upper limit of requests in flight, reached where they are answered fast enough; by default [`IN_FLIGHT_FACTOR`] times
    /// the lower one.
    pub(crate) fn most_in_flight(&self, cuda: bool) -> usize {
        let least = self.max_in_flight(cuda);
        if self.max_in_flight.is_some() {
            least
        } else {
            least.saturating_mul(IN_FLIGHT_FACTOR)
        }
    }

    /// Faces that may wait; by default [`QUEUE_FACTOR`] for each of [`Config::max_in_flight`], so that requests with several
    /// images fit.
    pub(crate) fn queue(&self, cuda: bool) -> usize {
        self.queue.map_or_else(
            || {
                self.max_in_flight(cuda)
                    .saturating_mul(QUEUE_FACTOR)
                    .max(self.max_images.get())
                    .max(self.max_faces.get())
            },
            NonZeroUsize::get,
        )
    }

    /// Reads a command line (program name first) and the environment.
    ///
    /// # Errors
    /// clap's error, which names the flag; also for `--help` and `--version`.
    pub fn parse_from<I, T>(args: I) -> Result<Command, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        let cli = Cli::try_parse_from(args)?;
        let command = cli.command.unwrap_or_else(|| Command::Run(Box::new(cli.run)));
        if let Command::Run(config) = &command {
            config
                .check()
                .map_err(|text| Cli::command().error(ErrorKind::ValueValidation, text))?;
        }
        Ok(command)
    }

    /// Checks flags against each other.
    fn check(&self) -> Result<(), String> {
        if self.max_buffered() < self.max_body {
            return Err(format!(
                "--max-buffered ({} bytes) must be at least --max-body ({} bytes)",
                self.max_buffered(),
                self.max_body
            ));
        }
        for (flag, least) in [("--max-images", self.max_images), ("--max-faces", self.max_faces)] {
            if let Some(queue) = self.queue.filter(|queue| *queue < least) {
                return Err(format!("--queue ({queue}) must be at least {flag} ({least})"));
            }
        }
        if self.batch_linger >= self.request_timeout {
            return Err(format!(
                "--batch-linger ({:?}) must be shorter than --request-timeout ({:?})",
                self.batch_linger, self.request_timeout
            ));
        }
        self.access.check(self.listen)
    }
}

/// CPUs that this process may use: the smaller of its affinity mask and its cgroup's quota (v1 and v2, rounded down, at
/// least 1), which is what `available_parallelism` returns on Linux.
fn cpus() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests;
