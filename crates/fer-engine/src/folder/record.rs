//! What the trainer notes in `model.json`: training run, scores, robustness. The service only passes the scores on.

use std::{collections::BTreeMap, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::{Map, Value};

use crate::emotion::{CLASSES, Emotion};

/// A JSON object with the fields this version does not know, which are kept when it is written again.
///
/// `T` must not flatten anything itself: its flattened fields would be read twice, by it and as unknown ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept<T> {
    /// The fields this version knows.
    #[serde(flatten)]
    pub known: T,
    /// The other ones.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl<T> From<T> for Kept<T> {
    fn from(known: T) -> Self {
        let extra = Map::new();
        Self { known, extra }
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.known
    }
}

/// A part of `model.json` that no model needs to be served. A value of another shape (a hand-written one, an older
/// or newer version's) is kept as it is instead of refusing the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Section<T> {
    /// Of the shape that this version writes.
    Known(T),
    /// Of another shape; `null` where there is nothing.
    Other(Value),
}

impl<T> Default for Section<T> {
    fn default() -> Self {
        Self::Other(Value::Null)
    }
}

impl<T> Section<T> {
    /// The section, if this version knows its shape.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(section) => Some(section),
            Self::Other(_) => None,
        }
    }

    /// The same, to be changed.
    pub const fn known_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Known(section) => Some(section),
            Self::Other(_) => None,
        }
    }

    /// Whether there is nothing.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Other(Value::Null))
    }
}

/// `training`: how the weights were made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The trainer's recipe, which only the trainer reads.
    pub recipe: Value,
    /// The recipe's seed.
    pub seed: u64,
    /// `f32` or `bf16`: what forward and backward pass computed in.
    pub precision: String,
    /// The rows it was trained on and chosen by.
    pub rows: Kept<Rows>,
    /// The epoch that was kept.
    pub best: Option<Kept<Best>>,
    /// Where the first weights come from; without it they were random.
    #[serde(default, skip_serializing_if = "Section::is_null")]
    pub started_from: Section<Kept<Provenance>>,
    /// The networks it was distilled from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<Kept<Provenance>>,
    /// Epochs of all stages together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs_trained: Option<usize>,
    /// Seconds of their training steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Validation rows whose face a training row has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated_faces: Option<usize>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The rows of a training run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Training rows.
    pub train: usize,
    /// Validation rows.
    pub valid: usize,
    /// SHA-256 over faces and labels of both.
    pub sha256: String,
}

/// An epoch and its validation accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// From 1.
    pub epoch: u32,
    /// 0–1.
    pub accuracy: f64,
}

/// A model's scores on labelled rows, as fractions. Without rows all are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Share of rows whose likeliest label is the true one.
    pub accuracy: f64,
    /// Mean F1 of all seven labels, each with the same weight, also one that has no rows.
    pub macro_f1: f64,
    /// Mean of −ln p(true label), in nats, with p not below 1e-7.
    pub log_loss: f64,
    /// Expected calibration error of the likeliest label's probability (Guo et al. 2017, arXiv 1706.04599):
    /// 15 bins of equal width, ((m−1)/15, m/15], |accuracy − mean probability| weighted by rows.
    pub ece: f64,
    /// Rows scored.
    pub rows: u64,
}

/// One label's scores, 0–1. A score whose denominator is 0 is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Of the rows predicted to be this label, the share that are.
    pub precision: f64,
    /// Of the rows that are this label, the share predicted to be.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Rows that are this label.
    pub support: u64,
}

/// `scores`: the object that `fer-train eval --json` prints, keys in the order of the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreReport {
    /// Of all rows.
    #[serde(flatten)]
    pub scores: Scores,
    /// Each label's scores, in the order of [`Emotion::ALL`]; in JSON with the labels as keys.
    #[serde(with = "by_label")]
    pub per_class: [Kept<ClassScores>; CLASSES],
    /// Rows by true label (first index) and predicted label (second), both in the order of [`Emotion::ALL`].
    pub confusion: [[u64; CLASSES]; CLASSES],
    /// Rows whose face a training row has, if the training rows are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated_faces: Option<usize>,
    /// Scores of the other rows, if only some are repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Kept<Scores>>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `robustness`: accuracy on plain and on changed faces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Robustness {
    /// Rows scored.
    pub rows: u64,
    /// Accuracy on the faces as they are, 0–1.
    pub plain: f64,
    /// The largest loss, percentage points.
    pub worst: f64,
    /// What each change costs.
    pub cases: Vec<Kept<Case>>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A file of weights that a training run started from or learned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Name and version of the model if its `model.json` is next to the weights, else the file's name.
    pub name: String,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

/// What one change costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The change in words.
    pub change: String,
    /// Accuracy on changed faces, 0–1.
    pub accuracy: f64,
    /// Accuracy lost against the plain faces, percentage points; negative if it is higher.
    pub loss: f64,
}

mod by_label {
    use super::*;

    type Classes = [Kept<ClassScores>; CLASSES];

    pub(super) fn serialize<S: Serializer>(classes: &Classes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Emotion::ALL.iter().zip(classes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Classes, D::Error> {
        // Seven different labels are all of them, and the map sorts them.
        let map = BTreeMap::<Emotion, Kept<ClassScores>>::deserialize(deserializer)?;
        let classes: Vec<_> = map.into_values().collect();
        let missing = |_| D::Error::custom("per_class must have the seven labels as keys");
        classes.try_into().map_err(missing)
    }
}
