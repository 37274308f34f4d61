//! Flags and environment of `fer-serve`, each with a default and a line of help, checked once at the start.
//!
//! A value that cannot be used ends the program with exit code 2 and a message that names the flag.

mod access;
mod commands;
mod values;

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};

use crate::faces::Options;
pub use access::AccessArgs;
pub use commands::{BenchArgs, HealthcheckArgs, LogArgs, LogFormat, ModelArgs, PredictArgs};
use values::{collector, count, duration, pixels, positive, size};

/// Room in the queue for each request in flight, unless told otherwise.
const ROOM: usize = 4;
/// How many times the least of requests in flight there may be. Beyond, those who wait under overload do so for longer, and no more
/// are answered (docs/performance.md, knobs).
const FASTEST: usize = 3;

/// Which expression does this face show? An HTTP service.
#[derive(Debug, Parser)]
#[command(name = "fer-serve", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Sub>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Serve (what happens without a command, too)
    Run(Box<RunArgs>),
    /// Classify picture files, one JSON answer a line, no server
    Predict(PredictArgs),
    /// Images per second of the loaded model in this process: engines, precisions, batches, workers
    Bench(BenchArgs),
    /// Exit 0 if a server is ready, 1 if not; for a container's HEALTHCHECK
    Healthcheck(HealthcheckArgs),
}

/// What the program was asked to do.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Run(Box<Config>),
    /// Classify files.
    Predict(PredictArgs),
    /// Measure the engines.
    Bench(BenchArgs),
    /// Ask a server whether it is ready.
    Healthcheck(HealthcheckArgs),
}

const LISTEN: &str = "0.0.0.0:8080";
const MAX_PIXELS: &str = "50000000";

#[derive(Debug, Clone, Args)]
struct RunArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "FER_LISTEN", value_name = "ADDR", default_value = LISTEN)]
    listen: SocketAddr,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    model: ModelArgs,
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
    max_faces: NonZeroUsize,
    /// Most faces in a batch [default: 8; 32 on CUDA]
    #[arg(long, env = "FER_MAX_BATCH", value_name = "N", value_parser = count(1024))]
    max_batch: Option<NonZeroUsize>,
    /// How long the oldest face waits for others to fill a batch; worth a millisecond on a GPU only
    #[arg(long, env = "FER_BATCH_LINGER", value_name = "TIME", default_value = "0s", value_parser = duration)]
    batch_linger: Duration,
    /// Faces that may wait for a worker [default: 4 × the least --max-in-flight]
    #[arg(long, env = "FER_QUEUE", value_name = "N", value_parser = count(1 << 20))]
    queue: Option<NonZeroUsize>,
    /// Requests with work that may be in flight, from head to answer (but for waiting for the body); more get 503 [default: 0.15 s of what is answered, but 96 to 288 for each worker; 1024 to 3072 on CUDA]
    #[arg(long, env = "FER_MAX_IN_FLIGHT", value_name = "N", value_parser = count(1 << 16))]
    max_in_flight: Option<NonZeroUsize>,
    /// Connections that may be open; for one more, the one that has been idle longest is closed (a pause within a body counts as idle after 5 s)
    #[arg(long, env = "FER_MAX_CONNECTIONS", value_name = "N", default_value = "4096", value_parser = count(1 << 20))]
    max_connections: NonZeroUsize,
    /// Time for an answer once the request's body is there; then 504
    #[arg(long, env = "FER_REQUEST_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = positive)]
    request_timeout: Duration,
    /// Time for a request's head to arrive, the first one with the TLS handshake before it; an idle connection is closed after it, too
    #[arg(long, env = "FER_HEADER_TIMEOUT", value_name = "TIME", default_value = "75s", value_parser = positive)]
    header_timeout: Duration,
    /// Time for a request's body to arrive; then 408
    #[arg(long, env = "FER_BODY_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = positive)]
    body_timeout: Duration,
    /// Most bytes of a request's body; more get 413 (units: k, M, G or Ki, Mi, Gi)
    #[arg(long, env = "FER_MAX_BODY", value_name = "BYTES", default_value = "20Mi", value_parser = size)]
    max_body: u64,
    /// Most bytes of bodies held at one time, all requests together; more get 503
    #[arg(long, env = "FER_MAX_BUFFERED", value_name = "BYTES", default_value = "512Mi", value_parser = size)]
    max_buffered: u64,
    /// Most pixels (width × height) of a picture; more get 422
    #[arg(long, env = "FER_MAX_PIXELS", value_name = "N", default_value = MAX_PIXELS, value_parser = pixels())]
    max_pixels: u64,
    /// Most pictures in a request; more get 413
    #[arg(long, env = "FER_MAX_IMAGES", value_name = "N", default_value = "64", value_parser = count(4096))]
    max_images: NonZeroUsize,
    /// After SIGTERM, how long to go on serving with /readyz at 503 before no more connections are accepted
    #[arg(long, env = "FER_DRAIN_DELAY", value_name = "TIME", default_value = "5s", value_parser = duration)]
    drain_delay: Duration,
    /// After that, how long requests in flight may take to end
    #[arg(long, env = "FER_DRAIN_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = duration)]
    drain_timeout: Duration,
    /// How long a worker may be inside the network before /livez says 503, so that the server is started anew
    #[arg(long, env = "FER_WEDGE_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = positive)]
    wedge_timeout: Duration,
    /// OpenTelemetry collector that gets a span of each request but probes, OTLP over plain HTTP; needs a build with the
    /// feature otlp [default: none]
    #[arg(long, env = "FER_OTLP_ENDPOINT", value_name = "URL", value_parser = collector)]
    otlp_endpoint: Option<String>,
    #[command(flatten)]
    log: LogArgs,
}

/// The server's configuration: every value checked, every default worked out but those that depend on the
/// device (see [`Config::workers`] and what follows it).
#[derive(Debug, Clone)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Who may ask what, and over what.
    pub access: AccessArgs,
    /// The model and where it runs.
    pub model: ModelArgs,
    /// CPUs the cgroup grants, at least 1.
    pub cpus: NonZeroUsize,
    workers: Option<NonZeroUsize>,
    queue: Option<NonZeroUsize>,
    max_in_flight: Option<NonZeroUsize>,
    /// Threads that decode pictures.
    pub decode_threads: NonZeroUsize,
    /// Threads that look for faces in photos.
    pub detect_threads: NonZeroUsize,
    /// Most faces of a photo that are answered.
    pub max_faces: NonZeroUsize,
    max_batch: Option<NonZeroUsize>,
    /// How long the oldest face waits for others.
    pub batch_linger: Duration,
    /// Connections that may be open.
    pub max_connections: NonZeroUsize,
    /// Time for an answer once the body is there.
    pub request_timeout: Duration,
    /// Time for a request's head to arrive.
    pub header_timeout: Duration,
    /// Time for a request's body to arrive.
    pub body_timeout: Duration,
    /// Most bytes of a body.
    pub max_body: u64,
    /// Most bytes of bodies held at one time.
    pub max_buffered: u64,
    /// Most pixels of a picture.
    pub max_pixels: u64,
    /// Most pictures in a request.
    pub max_images: NonZeroUsize,
    /// From SIGTERM to the end of accepting.
    pub drain_delay: Duration,
    /// From the end of accepting to the end.
    pub drain_timeout: Duration,
    /// How long a worker may be inside its engine before the server counts as hanging.
    pub wedge_timeout: Duration,
    /// Where spans go.
    pub otlp_endpoint: Option<String>,
    /// The log.
    pub log: LogArgs,
}

impl Config {
    /// Worker threads: what was asked for, else one for each CPU, or one on CUDA.
    #[must_use]
    pub fn workers(&self, cuda: bool) -> NonZeroUsize {
        self.workers
            .unwrap_or(if cuda { NonZeroUsize::MIN } else { self.cpus })
    }

    /// Most faces in a batch: what was asked for, else 8 (no CPU engine is faster with more, and whoever is in a batch waits for
    /// all of it), or 32 on CUDA.
    #[must_use]
    pub fn max_batch(&self, cuda: bool) -> NonZeroUsize {
        const CPU: NonZeroUsize = NonZeroUsize::new(8).unwrap();
        const CUDA: NonZeroUsize = NonZeroUsize::new(32).unwrap();
        self.max_batch.unwrap_or(if cuda { CUDA } else { CPU })
    }

    /// Requests in flight at least: what was asked for, else 96 for each CPU worker. However many more come, the line in
    /// front of a worker then is an eighth of a second long at 800 faces a second (docs/performance.md, knobs).
    #[must_use]
    pub fn max_in_flight(&self, cuda: bool) -> usize {
        match self.max_in_flight {
            Some(n) => n.get(),
            None if cuda => 1024,
            None => self.workers(cuda).get().saturating_mul(96),
        }
    }

    /// Requests in flight at most, on a processor that answers them fast enough: what was asked for, else [`FASTEST`] times
    /// the least.
    #[must_use]
    pub fn most_in_flight(&self, cuda: bool) -> usize {
        let least = self.max_in_flight(cuda);
        if self.max_in_flight.is_some() {
            least
        } else {
            least.saturating_mul(FASTEST)
        }
    }

    /// Faces that may wait: what was asked for, else [`ROOM`] for each of [`Config::max_in_flight`], so that requests with
    /// several pictures find room.
    #[must_use]
    pub fn queue(&self, cuda: bool) -> usize {
        self.queue.map_or_else(
            || {
                self.max_in_flight(cuda)
                    .saturating_mul(ROOM)
                    .max(self.max_images.get())
                    .max(self.max_faces.get())
            },
            NonZeroUsize::get,
        )
    }

    /// Reads a command line (program name first) and the environment.
    ///
    /// # Errors
    /// clap's error, which names the flag; `--help` and `--version` come this way, too.
    pub fn parse_from<I, T>(args: I) -> Result<Command, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        let cli = Cli::try_parse_from(args)?;
        Ok(match cli.command {
            None => Command::Run(Box::new(Self::check(cli.run)?)),
            Some(Sub::Run(run)) => Command::Run(Box::new(Self::check(*run)?)),
            Some(Sub::Predict(args)) => Command::Predict(args),
            Some(Sub::Bench(args)) => Command::Bench(args),
            Some(Sub::Healthcheck(args)) => Command::Healthcheck(args),
        })
    }

    /// Checks what concerns more than one flag.
    fn check(a: RunArgs) -> Result<Self, clap::Error> {
        let refuse = |text: String| Err(Cli::command().error(ErrorKind::ValueValidation, text));
        if a.max_buffered < a.max_body {
            return refuse(format!(
                "--max-buffered ({} bytes) must be at least --max-body ({} bytes)",
                a.max_buffered, a.max_body
            ));
        }
        if let Some(queue) = a.queue.filter(|q| *q < a.max_images) {
            return refuse(format!(
                "--queue ({queue}) must be at least --max-images ({})",
                a.max_images
            ));
        }
        if let Some(queue) = a.queue.filter(|q| *q < a.max_faces) {
            return refuse(format!(
                "--queue ({queue}) must be at least --max-faces ({})",
                a.max_faces
            ));
        }
        if a.batch_linger >= a.request_timeout {
            return refuse(format!(
                "--batch-linger ({:?}) must be shorter than --request-timeout ({:?})",
                a.batch_linger, a.request_timeout
            ));
        }
        if let Err(text) = a.access.check(a.listen) {
            return refuse(text);
        }
        let cpus = cpus();
        let decode_threads = a.decode_threads.unwrap_or(cpus);
        Ok(Self {
            listen: a.listen,
            access: a.access,
            model: a.model,
            cpus,
            workers: a.workers,
            queue: a.queue,
            max_in_flight: a.max_in_flight,
            decode_threads,
            detect_threads: a
                .detect_threads
                .or(NonZeroUsize::new(decode_threads.get() / 2))
                .unwrap_or(NonZeroUsize::MIN),
            max_faces: a.max_faces,
            max_batch: a.max_batch,
            batch_linger: a.batch_linger,
            max_connections: a.max_connections,
            request_timeout: a.request_timeout,
            header_timeout: a.header_timeout,
            body_timeout: a.body_timeout,
            max_body: a.max_body,
            max_buffered: a.max_buffered,
            max_pixels: a.max_pixels,
            max_images: a.max_images,
            drain_delay: a.drain_delay,
            drain_timeout: a.drain_timeout,
            wedge_timeout: a.wedge_timeout,
            otlp_endpoint: a.otlp_endpoint,
            log: a.log,
        })
    }
}

/// CPUs this process may use: the smaller of its affinity mask and its cgroup's quota (v1 and v2, rounded
/// down, at least 1), which is what `available_parallelism` answers on Linux.
fn cpus() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests;
