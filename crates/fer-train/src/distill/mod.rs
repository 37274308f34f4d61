//! Soft targets: from the run's own earlier predictions, or from an ensemble of teachers.

mod soft_labels;
mod teachers;

pub(crate) use soft_labels::SoftLabels;
pub use soft_labels::cross_entropy;
pub(crate) use teachers::{Teachers, folder};
