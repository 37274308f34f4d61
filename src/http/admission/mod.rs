//! Admission of requests with work: an adaptive limit on how many may be in flight, and the permit that each holds.

mod limit;
mod permit;

pub(crate) use limit::InFlightLimit;
pub(crate) use permit::{NoPermit, Permit};
