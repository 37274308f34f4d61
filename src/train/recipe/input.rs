//! The scaling of gray values as a recipe's file writes it.

use serde::{Deserialize, Deserializer};

use super::Recipe;
use crate::engine::InputSpec;

/// [`InputSpec`], but what is left out has the recipe's default, and what is unknown is refused; a model's manifest must say all of it.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Input {
    width: usize,
    height: usize,
    channels: usize,
    scale: f64,
    mean: f64,
    std: f64,
}

impl Default for Input {
    fn default() -> Self {
        let InputSpec {
            width,
            height,
            channels,
            scale,
            mean,
            std,
        } = Recipe::default().input;
        Self {
            width,
            height,
            channels,
            scale,
            mean,
            std,
        }
    }
}

/// Reads an [`InputSpec`] of which fields may be missing.
pub(super) fn with_defaults<'de, D: Deserializer<'de>>(from: D) -> Result<InputSpec, D::Error> {
    let Input {
        width,
        height,
        channels,
        scale,
        mean,
        std,
    } = Input::deserialize(from)?;
    Ok(InputSpec {
        width,
        height,
        channels,
        scale,
        mean,
        std,
    })
}
