//! The errors of other modules as problems.

use axum::http::StatusCode;

use super::Problem;
use crate::{app::NotReady, auth::Denied, batcher::ClassifyError, image::ImageError, reload::ReloadError};

impl From<NotReady> for Problem {
    fn from(_: NotReady) -> Self {
        Self::not_ready()
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
            ReloadError::Rejected { detail, cause } => Self::reload_refused(detail, cause),
            ReloadError::Panic(text) => Self::internal(text),
        }
    }
}

impl From<&ImageError> for Problem {
    fn from(error: &ImageError) -> Self {
        let detail = error.to_string();
        let problem = match error {
            ImageError::Empty => Self::new(
                StatusCode::BAD_REQUEST,
                "empty_image",
                "A picture has no bytes.",
                detail,
            ),
            ImageError::UnknownFormat => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unknown_image_format",
                "The content is not a picture of a format this server reads.",
                detail,
            ),
            ImageError::TooManyPixels { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "too_many_pixels",
                "The picture is too large.",
                detail,
            ),
            ImageError::Broken { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "broken_image",
                "The picture cannot be decoded.",
                detail,
            ),
        };
        match error.detail() {
            Some(inside) => problem.inside(inside),
            None => problem,
        }
    }
}

impl From<ClassifyError> for Problem {
    fn from(error: ClassifyError) -> Self {
        match error {
            ClassifyError::QueueFull => Self::overloaded(),
            ClassifyError::Closed => Self::not_ready(),
            ClassifyError::Deadline => Self::deadline_exceeded(),
            ClassifyError::Engine(text) => Self::internal(text),
        }
    }
}
