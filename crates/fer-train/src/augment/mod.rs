//! Random views of the training faces.

mod batch;
mod change;
mod view;

pub(crate) use batch::{Batch, seed_for};
pub(crate) use change::Change;
pub use view::plain;
pub(crate) use view::view;
