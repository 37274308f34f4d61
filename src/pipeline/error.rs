//! Why the pipeline gave no answer. HTTP turns these into its problems; `DecodeError` is the fault of one image, all
//! else is the server's.

use fer_image::{ImageError, helper::Ended};

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
    /// Decoding it was given up.
    #[error("{0}")]
    TooCostly(Ended),
    #[error(
        "the large pictures of a request may have at most {0} pixels together; send the rest in further requests"
    )]
    TooManyPixelsInRequest(u64),
}

impl DecodeError {
    /// What the decoding library said, for the log and never for a client.
    pub(crate) fn detail(&self) -> Option<String> {
        match self {
            Self::DataUrl | Self::TooCostly(_) | Self::TooManyPixelsInRequest(_) => None,
            Self::Base64(error) => Some(error.to_string()),
            Self::Image(error) => error.detail(),
        }
    }
}

/// Why an image was not decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodingError {
    #[error(transparent)]
    Image(#[from] DecodeError),
    /// It would have waited for too long.
    #[error("the line for decoders is full")]
    Overloaded,
    #[error("the deadline passed")]
    Deadline,
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// Why an image was not classified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClassifyError {
    #[error(transparent)]
    Decoding(#[from] DecodingError),
    #[error(transparent)]
    Batcher(#[from] BatcherError),
}
