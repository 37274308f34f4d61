//! The errors of other modules as problems.

use super::Problem;
use crate::{auth::Denied, reload::ReloadError};

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
