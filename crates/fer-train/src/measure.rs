//! Rows of a CSV through an engine: what is scored, drawn and fitted.

use super::{
    TrainError,
    data::Dataset,
    evaluate::Scores,
    temperature::{self, Labelled},
};
use fer_engine::{
    Classifier, Logits,
    emotion::{Emotion, Probabilities},
};
use fer_image::Face;

/// Rows that go through the network at once where there is no latency to mind.
pub(super) const BATCH: usize = 128;

/// True label and logits of each row, in order; `change` is what is done to a face first.
///
/// # Errors
/// What the engine says, or what `change` says.
pub(super) fn logits(
    engine: &mut dyn Classifier,
    data: &Dataset,
    change: impl Fn(Face) -> Result<Face, String>,
) -> Result<Vec<(Emotion, Logits)>, TrainError> {
    let mut rows = Vec::with_capacity(data.len());
    for (faces, labels) in data.faces().chunks(BATCH).zip(data.labels().chunks(BATCH)) {
        let faces = faces
            .iter()
            .map(|f| change(Face(*f)))
            .collect::<Result<Vec<Face>, _>>()
            .map_err(TrainError::Usage)?;
        rows.extend(labels.iter().copied().zip(engine.classify(&faces)?));
    }
    Ok(rows)
}

/// True label and probabilities of each row, as the engine gives them.
///
/// # Errors
/// What the engine says, or logits that are not finite.
pub(super) fn predictions(
    engine: &mut dyn Classifier,
    data: &Dataset,
) -> Result<Vec<(Emotion, Probabilities)>, TrainError> {
    to_probabilities(&logits(engine, data, Ok)?)
}

/// As they are: the engine has divided by the folder's temperature.
pub(super) fn to_probabilities(rows: &Labelled) -> Result<Vec<(Emotion, Probabilities)>, TrainError> {
    temperature::probabilities(rows, 1.0)
}

/// Scores of an engine on the rows.
///
/// # Errors
/// As [`predictions`].
pub(super) fn score(engine: &mut dyn Classifier, data: &Dataset) -> Result<Scores, TrainError> {
    Ok(Scores::from_predictions(predictions(engine, data)?))
}

/// The probabilities of some faces.
///
/// # Errors
/// What the engine says, or logits that are not finite.
pub(super) fn classify(
    engine: &mut dyn Classifier,
    faces: &[Face],
) -> Result<Vec<Probabilities>, TrainError> {
    engine
        .classify(faces)?
        .iter()
        .map(|l| Probabilities::from_logits(l).map_err(|e| TrainError::Usage(e.to_string())))
        .collect()
}
