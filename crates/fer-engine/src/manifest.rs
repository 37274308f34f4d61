//! `model.json`.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::{FILE_TORCHSCRIPT, Tempering};
use crate::emotion::Emotion;
use fer_image::SIDE;

/// `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The model's name in answers and on `/v2`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The labels in the order of the output; must be those of [`Emotion::ALL`].
    pub labels: Vec<String>,
    /// What goes in.
    pub input: InputSpec,
    /// The two weight files.
    pub files: std::collections::BTreeMap<String, FileEntry>,
    /// The temperature that makes its probabilities fit; without it they are the softmax as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Tempering>,
    /// Training configuration and seed, as `fer-train` wrote it.
    #[serde(default)]
    pub training: serde_json::Value,
    /// The scores `fer-train eval` gave.
    #[serde(default)]
    pub scores: serde_json::Value,
    /// What `fer-train eval --robustness` gave, if it was recorded.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub robustness: serde_json::Value,
}

impl Manifest {
    /// What logits are divided by, 1 where nothing was fitted.
    #[must_use]
    pub fn temperature(&self) -> f64 {
        self.calibration.map_or(1.0, |c| c.temperature)
    }

    /// Reads the text of a `model.json` and checks it. The files that it names are not looked at.
    ///
    /// # Errors
    /// A sentence: it is not such a text, names other labels or another input size, or a file by a path.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let manifest = serde_json::from_slice(text).map_err(|e| format!("not a model manifest: {e}"))?;
        check_manifest(&manifest)?;
        Ok(manifest)
    }
}

/// The network's input: a gray value `p` (0–255) goes in as `(p · scale − mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Pixels, 48.
    pub width: usize,
    /// Pixels, 48.
    pub height: usize,
    /// 1: gray.
    pub channels: usize,
    /// Factor on the gray value, usually 1/255.
    pub scale: f64,
    /// Taken off after scaling.
    pub mean: f64,
    /// Divided by last.
    pub std: f64,
}

impl InputSpec {
    /// Says what is wrong with it.
    ///
    /// # Errors
    /// A sentence: another size than 48×48×1, or scaling that is not finite or divides by zero.
    pub fn check(&self) -> Result<(), String> {
        if (self.width, self.height, self.channels) != (SIDE, SIDE, 1) {
            return Err(format!(
                "input is {}×{}×{}; wanted {SIDE}×{SIDE}×1",
                self.width, self.height, self.channels
            ));
        }
        if ![self.scale, self.mean, self.std].iter().all(|x| x.is_finite())
            || self.scale == 0.0
            || self.std <= 0.0
        {
            return Err(
                "input scaling needs a finite mean, a scale other than 0 and a std above 0".to_owned(),
            );
        }
        // Finite numbers can still give an infinite quotient.
        let (factor, offset) = self.affine();
        #[allow(clippy::cast_possible_truncation)] // what the engines compute with
        let scaled = [factor, offset, 255.0 * factor + offset].map(|x| x as f32);
        if !scaled.iter().all(|x| x.is_finite()) {
            return Err("input scaling turns gray values into numbers beyond 32-bit floats".to_owned());
        }
        let [_, black, white] = scaled;
        if (black - white).abs() < f32::MIN_POSITIVE {
            return Err("input scaling makes black and white the same 32-bit float".to_owned());
        }
        Ok(())
    }

    /// `p · factor + offset` is the scaled value of a gray value `p`.
    #[must_use]
    pub fn affine(&self) -> (f64, f64) {
        (self.scale / self.std, -self.mean / self.std)
    }
}

/// What a file of the folder must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Lower-case hex.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
}

fn check_manifest(m: &Manifest) -> Result<(), String> {
    if !m
        .labels
        .iter()
        .map(String::as_str)
        .eq(Emotion::ALL.map(Emotion::name))
    {
        return Err(format!(
            "labels are {:?}; wanted {:?}",
            m.labels,
            Emotion::ALL.map(Emotion::name)
        ));
    }
    m.input.check()?;
    m.calibration.map_or(Ok(()), |c| c.check())?;
    if m.name.is_empty() || m.version.is_empty() {
        return Err("name and version must not be empty".to_owned());
    }
    // Any other name would reach outside the folder, or be the folder.
    if let Some(bad) = m.files.keys().find(|f| !is_plain(f)) {
        return Err(format!("file name '{bad}' is not a plain name"));
    }
    if !m.files.contains_key(FILE_TORCHSCRIPT) {
        return Err(format!("`files` does not name {FILE_TORCHSCRIPT}"));
    }
    Ok(())
}

/// Whether a name is that of a file in the folder itself.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let plain = matches!(parts.next(), Some(Component::Normal(first)) if first == name);
    plain && parts.next().is_none() && !name.contains(['\\', '\0'])
}
