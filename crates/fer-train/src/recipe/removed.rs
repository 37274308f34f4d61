//! Recipes of earlier versions, which name options that were removed.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::Recipe;

/// Options that gained nothing (docs/training.md).
const REMOVED: [&str; 4] = [
    "/sharpness",
    "/distillation/by_labels",
    "/distillation/mirror",
    "/distillation/low_resolution",
];

/// Reads a recipe from a file, a checkpoint or a `model.json`. Earlier versions wrote all their options, so a removed one may
/// be named where it is off.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Recipe, D::Error> {
    let mut recipe = Value::deserialize(from)?;
    let is_off = |v: &Value| matches!(v, Value::Null | Value::Bool(false)) || v.as_f64() == Some(0.0);
    for path in REMOVED {
        let (part, name) = path.rsplit_once('/').unwrap_or(("", path));
        let fields = recipe.pointer_mut(part).and_then(Value::as_object_mut);
        let value = fields.and_then(|fields| fields.shift_remove(name));
        if let Some(value) = value.filter(|v| !is_off(v)) {
            let option = path.trim_start_matches('/').replace('/', ".");
            return Err(D::Error::custom(format!(
                "{option} is {value}, but this option was removed because it gained nothing (docs/training.md)"
            )));
        }
    }
    Recipe::deserialize(recipe).map_err(D::Error::custom)
}
