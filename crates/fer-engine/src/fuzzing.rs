//! The body of the fuzz target `manifest`: see `fer_image::fuzzing`.

use crate::Manifest;

/// A `model.json`.
///
/// # Panics
/// If an accepted manifest could scale a gray value to a number that is not finite, names a file outside its folder, or
/// changes when it is written and read again.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes) else {
        return;
    };
    let (factor, offset) = manifest.input.affine();
    for gray in [0.0, 255.0] {
        let scaled = (gray * factor + offset) as f32;
        assert!(scaled.is_finite(), "{gray} becomes {scaled}");
    }
    for name in manifest.files.keys() {
        let mut parts = std::path::Path::new(name).components();
        let first = parts.next();
        assert!(
            matches!(first, Some(std::path::Component::Normal(_))) && parts.next().is_none(),
            "{name:?} is not a plain name"
        );
    }
    let again = serde_json::to_vec(&manifest)
        .ok()
        .and_then(|text| Manifest::parse(&text).ok());
    assert_eq!(again.as_ref(), Some(&manifest));
}

#[cfg(test)]
#[path = "../../../tests/support/fuzzing.rs"]
mod support;

#[cfg(test)]
mod tests {
    use super::{support::run, *};

    fn seeds() -> Vec<Vec<u8>> {
        let good = serde_json::json!({
            "name": "m", "version": "1", "labels": crate::emotion::Emotion::ALL,
            "input": {"width": 48, "height": 48, "channels": 1, "scale": 0.00392156862745098, "mean": 0.5, "std": 0.25},
            "files": {"model.pt": {"sha256": "00", "bytes": 3}, "model.safetensors": {"sha256": "", "bytes": 0}},
            "training": {"seed": 7, "recipe": [1, 2.5e-3, null, "x"]}, "scores": {"accuracy": 0.5},
        })
        .to_string();
        [
            good.clone(),
            good.replace("model.safetensors", "../m"),
            good.replace("0.25", "1e-320"),
            good.replace("0.5", "1e308"),
            good.replace("[1,", "[[[[[[[[1]]]]]]],"),
        ]
        .map(String::into_bytes)
        .to_vec()
    }

    #[test]
    fn manifests_of_any_bytes() {
        // Otherwise the mutations would only ever meet the first check.
        assert!(Manifest::parse(&seeds()[0]).is_ok());
        run("manifest", manifest, seeds(), 10_000);
    }
}
