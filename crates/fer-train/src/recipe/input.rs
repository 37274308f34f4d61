//! The scaling of gray values in a recipe's file.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value};

use super::Recipe;
use fer_engine::InputSpec;

/// Reads an [`InputSpec`] in which fields may be missing: they have the recipe's default. Unknown fields are rejected. (A
/// model's manifest must have all fields.)
pub(super) fn with_defaults<'de, D: Deserializer<'de>>(from: D) -> Result<InputSpec, D::Error> {
    let mut whole = serde_json::to_value(Recipe::default().input).map_err(D::Error::custom)?;
    for (name, value) in Map::<String, Value>::deserialize(from)? {
        let field = whole
            .get_mut(&name)
            .ok_or_else(|| D::Error::custom(format!("input has no field `{name}`")))?;
        *field = value;
    }
    InputSpec::deserialize(whole).map_err(D::Error::custom)
}
