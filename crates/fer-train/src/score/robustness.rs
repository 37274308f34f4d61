//! The accuracy that small changes to the images cost.

use super::{logits, predictions, scores::score};
use crate::{TrainError, augment::Change, data::Dataset};
use fer_engine::{
    Classifier,
    folder::{Case, Kept, Robustness},
};

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

/// Measures the accuracy on plain and on changed faces; `done` gets each case as soon as it is measured.
pub(crate) fn measure(
    engine: &mut dyn Classifier,
    data: &Dataset,
    mut done: impl FnMut(&Case),
) -> Result<Robustness, TrainError> {
    let mut accuracy = |change: Option<Change>| -> Result<f64, TrainError> {
        let rows = logits(engine, data, |face| match change {
            Some(change) => change.apply(&face),
            None => Ok(face),
        })?;
        Ok(score(&predictions(&rows)?).scores.accuracy)
    };
    let plain = accuracy(None)?;
    let mut cases: Vec<Kept<Case>> = Vec::with_capacity(MEASURED.len());
    for change in MEASURED {
        let accuracy = accuracy(Some(change))?;
        let case = Case {
            change: change.to_string(),
            accuracy,
            loss: (plain - accuracy) * 100.0,
        };
        done(&case);
        cases.push(case.into());
    }
    Ok(Robustness {
        rows: data.len() as u64,
        plain,
        worst: cases.iter().map(|c| c.loss).fold(f64::NEG_INFINITY, f64::max),
        cases,
        extra: serde_json::Map::new(),
    })
}

/// The table that `eval --robustness` prints.
pub(crate) fn table(robustness: &Robustness) -> String {
    let mut text = format!("{:<22}{:>10}{:>8}\n", "robustness", "accuracy", "points");
    text += &format!("{:<22}{:>10.4}\n", "plain", robustness.plain);
    for case in &robustness.cases {
        // The loss as a change of accuracy: −1.2 is worse by 1.2 points.
        let points = -case.loss;
        text += &format!("{:<22}{:>10.4}{points:>+8.1}\n", case.change, case.accuracy);
    }
    text
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
                let pixels = face.0.iter().zip(&changed.0);
                let sum: u32 = pixels.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
                let difference = f64::from(sum) / PIXELS as f64;
                assert!(difference > 0.05 && difference < 60.0, "{change}: {difference}");
            }
        }
        let names: std::collections::BTreeSet<_> = MEASURED.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), MEASURED.len());
    }
}
