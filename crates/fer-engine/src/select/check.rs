//! Whether a candidate agrees with the TorchScript forward.

use crate::{Classifier, EngineError, Logits, Packed, Precision, apply_temperature, emotion::Probabilities};
use fer_image::Face;

/// The largest accepted difference of a probability from the TorchScript forward's.
pub(crate) const fn tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::F32 => 1e-3,
        Precision::Bf16 => 0.03,
        Precision::Int8 => 0.15,
    }
}

/// The largest difference of a probability. With it, as an error, why the candidate is refused: a difference over
/// [`tolerance`], or another label where the reference's two likeliest are further apart than that.
pub(super) fn disagreement(
    candidate: &mut Packed,
    probes: &[Face],
    reference: &[Probabilities],
    temperature: f64,
) -> Result<f32, (f32, String)> {
    let got = candidate
        .classify(probes)
        .and_then(|l| probabilities(&apply_temperature(l, temperature)))
        .map_err(|e| (f32::INFINITY, e.to_string()))?;
    let name = candidate.precision().name();
    let bound = tolerance(candidate.precision());
    let mut largest = 0f32;
    for (a, b) in got.iter().zip(reference) {
        for (x, y) in a.values().iter().zip(b.values()) {
            largest = largest.max((x - y).abs());
        }
    }
    if largest > bound {
        return Err((
            largest,
            format!("{name}: a probability is {largest:.4} off; {bound} is allowed"),
        ));
    }
    for (a, b) in got.iter().zip(reference) {
        let mut sorted = *b.values();
        sorted.sort_by(f32::total_cmp);
        let [.., second, top] = sorted;
        // The label may differ only where the reference itself is nearly undecided.
        let (label, margin) = (b.top().0, top - second);
        if a.top().0 != label && margin > bound {
            return Err((
                largest,
                format!("{name}: answers {} where TorchScript answers {label}", a.top().0),
            ));
        }
    }
    Ok(largest)
}

pub(super) fn probabilities(logits: &[Logits]) -> Result<Vec<Probabilities>, EngineError> {
    logits
        .iter()
        .map(|l| Probabilities::from_logits(l).map_err(|e| EngineError::Packed(e.to_string())))
        .collect()
}
