//! One request to a decoder and its answer, wherever the decoder runs.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    Face, Format, ImageError, Limits, Opened, Purpose,
    faces::{Found, Options, Seeta},
};

/// What to do with an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Decode the whole image to one face.
    Face,
    /// Find the faces.
    Find {
        /// Which faces.
        options: Options,
        /// Whether to return the whole image as a face if none is found.
        or_whole: bool,
    },
}

impl Work {
    /// What the decoded image is for.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::Face => Purpose::Face,
            Self::Find { .. } => Purpose::Photo,
        }
    }
}

/// One request to a decoder.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// What to do.
    pub work: &'a Work,
    /// The image file.
    pub file: &'a [u8],
    /// What it may use.
    pub bounds: &'a Bounds,
}

/// What one request may use.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The largest image that is accepted.
    pub limits: Limits,
    /// What may be used without asking first.
    pub grant: Grant,
    /// Processor time. Only a helper process is held to it.
    pub processor: Duration,
    /// When the answer is of no more use. Only a helper process is held to it.
    pub deadline: Instant,
}

/// Work that needs more than this is not begun; the answer is then [`Outcome::Heavy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Pixels to decode.
    pub pixels: u64,
    /// Bytes of memory besides the file.
    pub memory: u64,
    /// Whether photos may be searched for faces.
    pub find: bool,
}

impl Grant {
    /// No limit but those of [`Limits`].
    pub const ALL: Self = Self {
        pixels: u64::MAX,
        memory: u64::MAX,
        find: true,
    };

    const fn covers(&self, work: &Work, needs: &Needs) -> bool {
        needs.pixels <= self.pixels
            && needs.memory <= self.memory
            && (self.find || matches!(work, Work::Face))
    }
}

/// What an image's header says about the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// The image's format.
    pub format: Format,
    /// Width × height.
    pub pixels: u64,
    /// The most bytes of memory that the work takes besides the file.
    pub memory: u64,
}

/// What became of a task, and what it cost.
#[derive(Debug)]
pub struct Done {
    /// The answer. The decoder can be used again after each [`Failure`].
    pub result: Result<Outcome, Failure>,
    /// Processor time of a helper process, or elapsed time on the calling thread.
    pub processor: Duration,
}

/// What became of an image.
#[derive(Debug)]
pub enum Outcome {
    /// The whole image.
    Face {
        /// 48×48 pixels, upright.
        face: Box<Face>,
        /// What the header said.
        needs: Needs,
        /// Time spent on decoding.
        decode: Duration,
    },
    /// The faces that were found.
    Found {
        /// The faces, largest first.
        found: Box<Found>,
        /// What the header said.
        needs: Needs,
        /// Time spent on decoding.
        decode: Duration,
        /// Time spent on the search and on cutting the faces out.
        detect: Duration,
    },
    /// Only the header was read: the work needs more than the [`Grant`].
    Heavy(Needs),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The helper process was ended, or ended itself, at this image; it has been replaced.
    #[error("{0}")]
    Ended(Ended),
    /// The detector failed. The text is for the log.
    #[error("the face detector failed: {0}")]
    Detector(String),
    /// There is no helper process and none could be started. The text is for the log.
    #[error("no decoder could be started: {0}")]
    Unavailable(String),
}

/// How a helper process ended at an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The image took more processor time than [`Bounds::processor`].
    Time,
    /// The deadline passed.
    Deadline,
    /// The image took more memory than its header said, or the system had none left.
    Memory,
    /// The decoder panicked, crashed, or did what its confinement forbids. The text is for the log.
    Crash(String),
}

impl Ended {
    /// The value of the label `reason` in metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Crash(_) => "crash",
        }
    }

    /// All values of [`Ended::label`].
    pub const LABELS: [&'static str; 4] = ["time", "deadline", "memory", "crash"];
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time => f.write_str("decoding the picture took more processor time than --decode-timeout gives; save it again, or smaller"),
            Self::Deadline => f.write_str("the deadline passed while the picture was decoded"),
            Self::Memory => f.write_str("decoding the picture takes more memory than there is for it; save it again, or smaller"),
            Self::Crash(text) => write!(f, "the decoder crashed: {text}"),
        }
    }
}

/// Runs `work`; if it panics, returns the panic's message. The caller must not use what `work` was changing.
///
/// # Errors
/// The message.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_text(&*panic).to_owned())
}

/// The message of a caught panic.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Does the work on the calling thread. `detector` is called only if faces are to be found.
pub(super) fn perform<'d>(
    work: &Work,
    bytes: &[u8],
    limits: &Limits,
    grant: &Grant,
    detector: impl FnOnce() -> Result<&'d Seeta, String>,
) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let opened = Opened::new(bytes, limits)?;
    let needs = Needs {
        format: opened.format(),
        pixels: opened.pixels(),
        memory: opened.memory(work.purpose()),
    };
    if !grant.covers(work, &needs) {
        return Ok(Outcome::Heavy(needs));
    }
    match work {
        Work::Face => {
            let face = Box::new(opened.face()?);
            let decode = began.elapsed();
            Ok(Outcome::Face { face, needs, decode })
        }
        Work::Find { options, or_whole } => {
            let photo = opened.photo()?;
            let decode = began.elapsed();
            let began = Instant::now();
            let found = detector()
                .and_then(|detector| detector.find(&photo, options, *or_whole))
                .map(Box::new)
                .map_err(Failure::Detector)?;
            Ok(Outcome::Found {
                found,
                needs,
                decode,
                detect: began.elapsed(),
            })
        }
    }
}
