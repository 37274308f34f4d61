//! Labelled rows through an engine, and what its answers are worth.

pub(crate) mod overlap;
pub(crate) mod robustness;
pub(crate) mod scores;
pub(crate) mod temperature;

use crate::{TrainError, data::Dataset};
use fer_engine::{
    Classifier, Logits,
    emotion::{Emotion, Probabilities},
};
use fer_image::Face;

/// Rows in a batch where latency does not matter.
pub(crate) const BATCH: usize = 128;

/// True label and logits of each row.
pub(crate) type LabelledLogits = [(Emotion, Logits)];
/// True label and predicted probabilities of each row.
pub(crate) type Predictions = [(Emotion, Probabilities)];

/// The rows' logits, in order; `change` is applied to each face first.
pub(crate) fn logits(
    engine: &mut dyn Classifier,
    data: &Dataset,
    change: impl Fn(Face) -> Result<Face, String>,
) -> Result<Vec<(Emotion, Logits)>, TrainError> {
    let mut rows = Vec::with_capacity(data.len());
    for (faces, labels) in data.faces.chunks(BATCH).zip(data.labels.chunks(BATCH)) {
        let faces = faces
            .iter()
            .map(|f| change(Face(*f)))
            .collect::<Result<Vec<Face>, _>>()
            .map_err(TrainError::Usage)?;
        rows.extend(labels.iter().copied().zip(engine.classify(&faces)?));
    }
    Ok(rows)
}

/// The softmax of each row's logits. They are divided by no temperature here.
pub(crate) fn predictions(rows: &LabelledLogits) -> Result<Vec<(Emotion, Probabilities)>, TrainError> {
    rows.iter()
        .map(|(truth, logits)| Ok((*truth, probabilities(logits)?)))
        .collect()
}

pub(crate) fn classify(
    engine: &mut dyn Classifier,
    faces: &[Face],
) -> Result<Vec<Probabilities>, TrainError> {
    engine.classify(faces)?.iter().map(probabilities).collect()
}

fn probabilities(logits: &Logits) -> Result<Probabilities, TrainError> {
    Probabilities::from_logits(logits).map_err(|e| TrainError::Usage(e.to_string()))
}
