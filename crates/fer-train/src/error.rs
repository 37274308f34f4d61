//! What stops a training command.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A bad row of a CSV file; the reader may skip it. Lines count from 1, the header's.
    #[error("{path}: line {line}: {reason}")]
    Row {
        path: PathBuf,
        line: u64,
        reason: String,
    },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    /// A CSV file, checkpoint, weight file or recipe is not what it should be.
    #[error("{path}: {reason}")]
    Invalid { path: PathBuf, reason: String },
    /// The model folder or the device.
    #[error(transparent)]
    Engine(#[from] fer_engine::EngineError),
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// Epoch and step count from 1, the step within its epoch.
    #[error(
        "the loss is not finite at epoch {epoch}, step {step}: lower the learning rate, or train with --precision f32"
    )]
    Diverged { epoch: u32, step: usize },
    #[error("drawing: {0}")]
    Draw(String),
    /// Flags, rows or files that do not go together.
    #[error("{0}")]
    Usage(String),
}

impl TrainError {
    /// The exit code of a command that ends with this error: 2 if the user's input (flags, rows, files of the wrong
    /// kind) must change, 1 otherwise.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Row { .. }
            | Self::Invalid { .. }
            | Self::Usage(_)
            | Self::Engine(fer_engine::EngineError::Invalid { .. }) => 2,
            Self::File { .. } | Self::Engine(_) | Self::Torch(_) | Self::Draw(_) | Self::Diverged { .. } => 1,
        }
    }

    /// For `map_err` on an operation on a file.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// For `map_err` where a file's content is wrong.
    pub(crate) fn invalid(path: &Path) -> impl Fn(String) -> Self + use<> {
        let path = path.to_owned();
        move |reason| Self::Invalid {
            path: path.clone(),
            reason,
        }
    }
}
