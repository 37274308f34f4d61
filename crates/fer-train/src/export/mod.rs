//! Checkpoint → model folder.
//!
//! - `folder`: weights, scores and manifest
//! - `int8`: the ranges of int8 activations, and what int8 costs
//! - `card`: the model card

pub(crate) mod card;
mod folder;
pub(crate) mod int8;

pub(crate) use folder::{Finished, note_time, write_folder};

#[cfg(test)]
pub(crate) use folder::export;

/// Name and version a model folder gets.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// In answers and on `/v2`.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
}
