//! The errors of other modules as problems.

use fer_image::ImageError;

use super::Problem;
use crate::{
    auth::Denied,
    batcher::BatcherError,
    pipeline::{ClassifyError, DecodeError, DetectError, PoolError},
    reload::ReloadError,
};

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        let constructor: fn(String) -> Self = match &error {
            DecodeError::DataUrl | DecodeError::Base64(_) => Self::bad_base64,
            DecodeError::Image(ImageError::Empty) => Self::empty_image,
            DecodeError::Image(ImageError::UnknownFormat(_)) => Self::unknown_image_format,
            DecodeError::Image(ImageError::TooManyPixels { .. }) => Self::too_many_pixels,
            DecodeError::Image(ImageError::Broken { .. }) => Self::broken_image,
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
            ClassifyError::Decode(error) => Self::Image(error.into()),
            ClassifyError::Pool(error) => Self::Server(error.into()),
            ClassifyError::Batcher(error) => Self::Server(error.into()),
        }
    }
}

impl From<DetectError> for Failure {
    fn from(error: DetectError) -> Self {
        match error {
            DetectError::Decode(error) => Self::Image(error.into()),
            DetectError::Pool(error) => Self::Server(error.into()),
            DetectError::Detector(text) => Self::Server(Problem::internal(text)),
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
