//! Why the pipeline gave no answer. HTTP turns these into its problems; `DecodeError` is the fault of one image, all
//! else is the server's.

use fer_image::ImageError;

use super::decode_pool::PoolError;
use crate::batcher::BatcherError;

/// The image cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// A `data:` URL that does not hold base64.
    #[error("a data: URL must be of the form data:image/png;base64,…")]
    DataUrl,
    #[error("the image must be in base64 with the alphabet A–Z a–z 0–9 + /")]
    Base64(#[from] base64::DecodeError),
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl DecodeError {
    /// What the decoding library said, for the log and never for a client.
    pub(crate) fn detail(&self) -> Option<String> {
        match self {
            Self::DataUrl => None,
            Self::Base64(error) => Some(error.to_string()),
            Self::Image(error) => error.detail(),
        }
    }
}

/// Why an image was not classified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClassifyError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Batcher(#[from] BatcherError),
}

/// Why an image was not searched for faces.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DetectError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The text is for the log.
    #[error("the face detector failed: {0}")]
    Detector(String),
}
