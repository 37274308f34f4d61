//! The handlers, a file for each group of routes.

pub(crate) mod faces;
pub(crate) mod model;
pub(crate) mod predict;
pub(crate) mod v2;
