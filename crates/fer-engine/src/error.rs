//! What can go wrong between a model folder and its logits.

use std::path::{Path, PathBuf};

use crate::files::ReadError;

/// What can go wrong between a model folder and its logits.
#[allow(missing_docs)] // the fields are those of the messages
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file of the model folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// A file of the model folder cannot be written.
    #[error("{path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    /// A file of the model folder is not what it should be.
    #[error("{path}: {reason}")]
    Invalid { path: PathBuf, reason: String },
    /// CUDA was asked for and is not available, for the reason given.
    #[error("{0}")]
    NoCuda(String),
    /// An operation of libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The packed engine is not available, for the reason given.
    #[error("packed engine: {0}")]
    Packed(String),
    /// The module does not map `[N,1,48,48]` to `[N,7]`.
    #[error("the model gives an output of shape {got:?}; expected [{batch}, 7]")]
    Shape { got: Vec<i64>, batch: usize },
}

impl EngineError {
    /// The error for a file of the model folder that was not read.
    pub(crate) fn unread(path: &Path, error: ReadError) -> Self {
        let path = path.to_owned();
        match error {
            ReadError::Io(source) => Self::Read { path, source },
            refused => Self::Invalid {
                path,
                reason: refused.to_string(),
            },
        }
    }
}
