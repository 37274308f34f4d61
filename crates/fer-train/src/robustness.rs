//! The accuracy that small changes to the images cost.

use std::fmt;

use serde::Serialize;

use super::{TrainError, augment::Change, data::Dataset, evaluate::Scores, measure};
use fer_engine::Classifier;

/// Every change that is measured, in the order shown.
const MEASURED: [Change; 14] = [
    Change::Shift(-2, 0),
    Change::Shift(2, 0),
    Change::Shift(0, -2),
    Change::Shift(0, 2),
    Change::Rotation(-10.0),
    Change::Rotation(10.0),
    Change::Blur(1.0),
    Change::Jpeg(30),
    Change::Brightness(-0.2),
    Change::Brightness(0.2),
    Change::Contrast(0.7),
    Change::Contrast(1.3),
    Change::Resize(24),
    Change::Resize(96),
];

/// The accuracy that one change costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Case {
    /// The change in words.
    pub(crate) change: String,
    /// Accuracy on changed faces, 0–1.
    pub(crate) accuracy: f64,
    /// Accuracy lost against the plain faces, percentage points; negative if it is higher.
    pub(crate) loss: f64,
}

/// Accuracy on plain and on changed faces.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Robustness {
    pub(crate) rows: u64,
    /// Accuracy on the faces as they are, 0–1.
    pub(crate) plain: f64,
    /// The largest loss, percentage points.
    pub(crate) worst: f64,
    /// Each change in the order of [`MEASURED`].
    pub(crate) cases: Vec<Case>,
}

impl Robustness {
    /// Measures every change on the rows; `done` is called after each.
    pub(crate) fn measure(
        engine: &mut dyn Classifier,
        data: &Dataset,
        mut done: impl FnMut(&Case),
    ) -> Result<Self, TrainError> {
        let plain = measure::score(engine, data)?;
        let mut cases = Vec::with_capacity(MEASURED.len());
        for change in MEASURED {
            let rows = measure::logits(engine, data, |f| change.apply(&f))?;
            let accuracy = Scores::from_predictions(measure::to_probabilities(&rows)?).accuracy;
            let case = Case {
                change: change.to_string(),
                accuracy,
                loss: (plain.accuracy - accuracy) * 100.0,
            };
            done(&case);
            cases.push(case);
        }
        Ok(Self {
            rows: plain.rows,
            plain: plain.accuracy,
            worst: cases.iter().map(|c| c.loss).fold(f64::NEG_INFINITY, f64::max),
            cases,
        })
    }
}

impl fmt::Display for Robustness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<22}{:>10}{:>8}", "robustness", "accuracy", "points")?;
        writeln!(f, "{:<22}{:>10.4}", "plain", self.plain)?;
        for c in &self.cases {
            // The loss as a change of accuracy: −1.2 is worse by 1.2 points.
            let change = -c.loss;
            writeln!(f, "{:<22}{:>10.4}{change:>+8.1}", c.change, c.accuracy)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fer_engine::drawn_faces;
    use fer_image::PIXELS;

    #[test]
    fn every_change_changes_a_face_a_little() {
        for face in drawn_faces(4) {
            for change in MEASURED {
                let changed = change.apply(&face).unwrap();
                let sum: u32 = face
                    .0
                    .iter()
                    .zip(&changed.0)
                    .map(|(a, b)| u32::from(a.abs_diff(*b)))
                    .sum();
                let difference = f64::from(sum) / PIXELS as f64;
                assert!(difference > 0.05 && difference < 60.0, "{change}: {difference}");
            }
        }
        let names: std::collections::BTreeSet<_> = MEASURED.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), MEASURED.len());
    }
}
