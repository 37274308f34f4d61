//! The errors of other modules as problems.

use fer_image::{ImageError, Reason, helper::Ended};

use super::Problem;
use crate::{
    auth::Denied,
    batcher::BatcherError,
    pipeline::{ClassifyError, DecodeError, DecodingError, PoolError},
    reload::ReloadError,
};

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        let constructor: fn(String) -> Self = match &error {
            DecodeError::DataUrl | DecodeError::Base64(_) => Self::bad_base64,
            DecodeError::Image(ImageError::Empty) => Self::empty_image,
            DecodeError::Image(ImageError::UnknownFormat(_)) => Self::unknown_image_format,
            DecodeError::Image(ImageError::TooManyPixels { .. }) => Self::too_many_pixels,
            DecodeError::Image(ImageError::Broken { reason, .. }) => match reason {
                Reason::Unsupported(_) => Self::unsupported_image,
                Reason::TooMuchMemory => Self::too_costly,
                Reason::NoPixels | Reason::CutShort | Reason::Damaged => Self::broken_image,
            },
            DecodeError::TooManyPixelsInRequest(_) => Self::too_many_pixels,
            // The text is for the log.
            DecodeError::TooCostly(Ended::Crash(text)) => {
                let problem = Self::broken_image("the picture is damaged and cannot be decoded");
                return problem.inside(text.clone());
            }
            DecodeError::TooCostly(_) => Self::too_costly,
        };
        let mut problem = constructor(error.to_string());
        problem.inside = error.detail();
        problem
    }
}

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        Self::internal(error.0)
    }
}

impl From<BatcherError> for Problem {
    fn from(error: BatcherError) -> Self {
        match error {
            BatcherError::QueueFull => Self::overloaded(),
            BatcherError::Closed => Self::not_ready(),
            BatcherError::Deadline => Self::deadline_exceeded(),
            BatcherError::Engine(text) => Self::internal(text),
        }
    }
}

/// Why an image has no answer.
pub(crate) enum Failure {
    /// The image cannot be used. Among several images, only its entry says so.
    Image(Problem),
    /// The server could not answer. The whole request fails and can be sent again.
    Server(Problem),
}

impl From<BatcherError> for Failure {
    fn from(error: BatcherError) -> Self {
        Self::Server(error.into())
    }
}

impl From<ClassifyError> for Failure {
    fn from(error: ClassifyError) -> Self {
        match error {
            ClassifyError::Decoding(error) => error.into(),
            ClassifyError::Batcher(error) => Self::Server(error.into()),
        }
    }
}

impl From<DecodingError> for Failure {
    fn from(error: DecodingError) -> Self {
        match error {
            DecodingError::Image(error) => Self::Image(error.into()),
            DecodingError::Overloaded => Self::Server(Problem::overloaded()),
            DecodingError::Deadline => Self::Server(Problem::deadline_exceeded()),
            DecodingError::Pool(error) => Self::Server(error.into()),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Image(problem) | Failure::Server(problem) => problem,
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::MissingKey => Self::no_key(),
            Denied::UnknownKey => Self::wrong_key(),
            Denied::RateLimited(wait) => Self::rate_limited(wait),
        }
    }
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::NotReady => Self::not_ready(),
            ReloadError::QueueFull => Self::overloaded(),
            ReloadError::ShuttingDown => Self::draining(),
            ReloadError::Rejected { detail, cause } => Self {
                inside: cause,
                ..Self::reload_refused(detail)
            },
        }
    }
}
