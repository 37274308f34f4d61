//! The accuracy that small changes to the images cost.

use super::{logits, predictions, scores::score};
use crate::{TrainError, data::Dataset, robustness::Change};
use fer_engine::{
    Classifier,
    folder::{Case, Kept, Robustness},
};

/// Measures the accuracy on plain and on changed faces; `done` gets each case as soon as it is measured.
pub(crate) fn measure(
    engine: &mut dyn Classifier,
    data: &Dataset,
    mut done: impl FnMut(&Case),
) -> Result<Robustness, TrainError> {
    let mut accuracy = |change: Option<Change>| -> Result<f64, TrainError> {
        let rows = logits(engine, data, |f| change.map_or(Ok(f), |c| c.apply(&f)))?;
        Ok(score(&predictions(&rows)?).scores.accuracy)
    };
    let plain = accuracy(None)?;
    let mut cases: Vec<Kept<Case>> = Vec::with_capacity(Change::ALL.len());
    for change in Change::ALL {
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
