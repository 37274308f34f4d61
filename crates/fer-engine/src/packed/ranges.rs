//! The ranges of activations on training faces, which fix the scales of 8-bit activations.

use serde::{Deserialize, Serialize};

use super::{
    Classifier, EngineError, FoldedNetwork, Packed, Precision, Ranges,
    geometry::{FEATURES, HIDDEN},
};
use crate::{ModelFolder, folder::read_json};
use fer_image::Face;

/// The ranges' file in a model folder.
pub const FILE_QUANT_RANGES: &str = "model.int8.json";
/// Steps of the histograms.
const BINS: usize = 2048;
/// The activations, as the file names them.
const NAMES: [&str; 5] = ["conv1", "conv2", "conv3", "conv4", "dense1"];

/// `model.int8.json`: what the int8 engine needs besides the weights, and what it costs in accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantRanges {
    /// SHA-256 of the `model.safetensors` it was made for.
    pub weights_sha256: String,
    /// Training faces it was made from.
    pub faces: usize,
    /// Name of a layer → the largest value with which its output is stored; larger ones are clipped.
    pub largest: std::collections::BTreeMap<String, f32>,
    /// What int8 costs in accuracy, once measured. Without it int8 is never chosen by itself.
    #[serde(default)]
    pub cost: Option<Cost>,
}

/// Accuracy of the same weights in both precisions on labelled faces that were not calibrated on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Labelled faces.
    pub faces: usize,
    /// In float, 0–1.
    pub accuracy_f32: f64,
    /// In int8, 0–1.
    pub accuracy_int8: f64,
    /// Share of faces on which both answer the same, 0–1.
    pub agreement: f64,
}

impl Cost {
    /// Accuracy lost, in percentage points; negative if int8 happens to be better.
    #[must_use]
    pub fn points(&self) -> f64 {
        (self.accuracy_f32 - self.accuracy_int8) * 100.0
    }
}

impl QuantRanges {
    /// Reads `model.int8.json` if the folder has one.
    ///
    /// # Errors
    /// [`EngineError::Read`] if it cannot be read, [`EngineError::Invalid`] if it is not valid or was made
    /// for other weights.
    pub fn load(folder: &ModelFolder) -> Result<Option<Self>, EngineError> {
        let path = folder.file(FILE_QUANT_RANGES);
        let text = match read_json(&path) {
            Ok(text) => text,
            Err(EngineError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let invalid = |reason| EngineError::Invalid {
            path: path.clone(),
            reason,
        };
        let found: Self =
            serde_json::from_slice(&text).map_err(|e| invalid(format!("not a calibration: {e}")))?;
        let weights = folder.manifest().files.get(crate::FILE_SAFETENSORS);
        if weights.is_none_or(|w| !w.sha256.eq_ignore_ascii_case(&found.weights_sha256)) {
            return Err(invalid(
                "was made for other weights; export the model again".to_owned(),
            ));
        }
        found.ranges().map_err(invalid)?;
        let shares = found.cost.map(|c| [c.accuracy_f32, c.accuracy_int8, c.agreement]);
        if shares.is_some_and(|shares| shares.iter().any(|x| !(0.0..=1.0).contains(x))) {
            return Err(invalid(
                "accuracies and agreement are shares from 0 to 1".to_owned(),
            ));
        }
        Ok(Some(found))
    }

    /// The ranges in the order of the layers.
    ///
    /// # Errors
    /// A sentence if one is missing or not a positive number.
    pub fn ranges(&self) -> Result<Ranges, String> {
        let mut ranges = Ranges::default();
        for (range, name) in ranges.iter_mut().zip(NAMES) {
            match self.largest.get(name) {
                Some(x) if x.is_finite() && *x > 0.0 => *range = *x,
                Some(x) => return Err(format!("`largest` of {name} is {x}; expected a positive number")),
                None => return Err(format!("`largest` has no {name}")),
            }
        }
        Ok(ranges)
    }
}

/// Runs training faces through the network in float and chooses, for each activation, the largest value that
/// 8 bits should reach: the one with the least mean squared error between a value and its stored step.
/// `weights_sha256` is that of `model.safetensors`.
///
/// # Errors
/// [`EngineError::Packed`] if there are no faces, or the weights are not this network's.
pub fn calibrate(
    network: &FoldedNetwork,
    weights_sha256: &str,
    faces: &[Face],
) -> Result<QuantRanges, EngineError> {
    if faces.is_empty() {
        return Err(EngineError::Packed(
            "calibration needs at least one face".to_owned(),
        ));
    }
    let mut engine = Packed::new(network, Precision::F32, None)?;
    let mut peaks = Ranges::default();
    observe(&mut engine, faces, |i, values| {
        peaks[i] = values.iter().fold(peaks[i], |m, x| m.max(*x));
    })?;
    let mut histograms = vec![[0u64; BINS]; peaks.len()];
    observe(&mut engine, faces, |i, values| {
        let bins = &mut histograms[i];
        let per_bin = BINS as f32 / peaks[i].max(f32::MIN_POSITIVE);
        for x in values.iter().filter(|x| **x > 0.0) {
            let bin = (x * per_bin) as usize;
            bins[bin.min(BINS - 1)] += 1;
        }
    })?;
    let largest = NAMES
        .iter()
        .zip(peaks.iter().zip(&histograms))
        .map(|(name, (peak, bins))| {
            // An activation that is always zero has no range; any positive number serves.
            let largest = if *peak > 0.0 { peak * best_cut(bins) } else { 1.0 };
            ((*name).to_owned(), largest)
        });
    Ok(QuantRanges {
        weights_sha256: weights_sha256.to_owned(),
        faces: faces.len(),
        largest: largest.collect(),
        cost: None,
    })
}

/// Passes each activation of all faces to `see`, in float: its index and its values, borders included.
fn observe(
    engine: &mut Packed,
    faces: &[Face],
    mut see: impl FnMut(usize, &[f32]),
) -> Result<(), EngineError> {
    let mut values = Vec::new();
    // Face by face, since the working memory holds the input of the second layer for one face only.
    for face in faces {
        engine.classify(std::slice::from_ref(face))?;
        let work = &engine.work;
        // Both copies of the second layer's input hold the same values; one is enough.
        let input2 = work.input2.as_slice();
        let activations = [
            &input2[..input2.len() / 2],
            work.input3[0].as_slice(),
            work.input4[0].as_slice(),
            &work.features.as_slice()[..FEATURES * 4],
            &work.hidden1.as_slice()[..HIDDEN[0] * 4],
        ];
        for (i, bytes) in activations.into_iter().enumerate() {
            values.clear();
            values.extend(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_ne_bytes(*b)));
            see(i, &values);
        }
    }
    Ok(())
}

/// The share of the peak at which to clip: least sum of squared rounding errors below and clipping errors above.
fn best_cut(bins: &[u64; BINS]) -> f32 {
    let error = |cut: usize| -> f64 {
        let step = cut as f64 / 255.0;
        // Rounding is off by a uniform ±step/2: variance step²/12.
        let rounding = step * step / 12.0;
        bins.iter()
            .enumerate()
            .map(|(i, count)| {
                let over = (i as f64 + 0.5 - cut as f64).max(0.0);
                *count as f64 * if over > 0.0 { over * over } else { rounding }
            })
            .sum()
    };
    let best = (BINS / 16..=BINS)
        .step_by(8)
        .min_by(|a, b| error(*a).total_cmp(&error(*b)));
    best.unwrap_or(BINS) as f32 / BINS as f32
}
