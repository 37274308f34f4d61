//! The errors of the pipeline as problems, of one image or of the whole request.

use axum::http::StatusCode;

use super::Problem;
use crate::{
    batcher::BatcherError,
    image::ImageError,
    pipeline::{ClassifyError, DecodeError, DetectError, PoolError},
};

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        let detail = error.to_string();
        let DecodeError::Image(image) = &error else {
            let mut problem = Self::bad_base64(detail);
            problem.inside = error.detail();
            return problem;
        };
        let (status, code, title) = match image {
            ImageError::Empty => (StatusCode::BAD_REQUEST, "empty_image", "A picture has no bytes."),
            ImageError::UnknownFormat => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unknown_image_format",
                "The content is not a picture of a format this server reads.",
            ),
            ImageError::TooManyPixels { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "too_many_pixels",
                "The picture is too large.",
            ),
            ImageError::Broken { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "broken_image",
                "The picture cannot be decoded.",
            ),
        };
        let mut problem = Self::new(status, code, title, detail);
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
