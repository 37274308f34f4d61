//! Random views of the training faces.
//!
//! - [`change`]: changes to a face, with their strength
//! - [`mod@view`]: one face → one random view of it
//! - [`batch`]: the views of a step

mod batch;
mod change;
mod view;

pub(crate) use batch::{Batch, seed_for};
pub(crate) use change::Change;
pub use view::plain;
pub(crate) use view::view;
