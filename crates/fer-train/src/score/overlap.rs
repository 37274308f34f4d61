//! Rows whose face a training row also has. FER2013's own splits have such rows; scores on them say little about
//! other faces.

use std::collections::HashSet;

use super::{
    Predictions,
    scores::{in_words, score},
};
use crate::data::Dataset;
use fer_engine::folder::{ScoreReport, Scores, Training};

/// For each row whether its face is among the training rows, whatever its label there.
#[derive(Debug)]
pub(crate) struct Overlap(Vec<bool>);

impl Overlap {
    pub(crate) fn of(data: &Dataset, train: &Dataset) -> Self {
        let known: HashSet<&[u8; 2304]> = train.faces.iter().collect();
        Self(data.faces.iter().map(|f| known.contains(f)).collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().filter(|r| **r).count()
    }

    pub(crate) fn all(&self) -> bool {
        self.0.iter().all(|r| *r)
    }

    /// Scores of the other rows; none if no row or every row is repeated.
    fn unseen(&self, predictions: &Predictions) -> Option<Scores> {
        let others = self.0.len() - self.count();
        (others > 0 && others < self.0.len()).then(|| {
            let rows = predictions.iter().zip(&self.0);
            let others: Vec<_> = rows
                .filter(|(_, repeated)| !**repeated)
                .map(|(p, _)| *p)
                .collect();
            score(&others).scores
        })
    }

    /// Adds the number of repeated rows and the scores of the others to a report on these rows.
    pub(crate) fn extend(&self, report: &mut ScoreReport, predictions: &Predictions) {
        report.repeated_faces = Some(self.count());
        report.unseen = self.unseen(predictions).map(Into::into);
    }

    /// Adds the number of repeated rows to the record of a training run, if these are the very rows it was trained and
    /// chosen on.
    pub(crate) fn note(&self, training: &mut Training, train: &Dataset, data: &Dataset) {
        if training.rows.known == Dataset::fingerprint(train, data) {
            training.repeated_faces = Some(self.count());
        }
    }
}

/// The other rows' scores in one line.
pub(crate) fn unseen_line(report: &ScoreReport) -> Option<String> {
    let (repeated, unseen) = (report.repeated_faces?, report.unseen.as_ref()?);
    Some(format!(
        "{repeated} of the rows have the face of a training row; on the other {}: {}",
        unseen.rows,
        in_words(unseen)
    ))
}

#[cfg(test)]
mod tests {
    use fer_engine::emotion::Probabilities;

    use super::*;
    use crate::data::Reader;

    /// Rows with those first pixels, label by label.
    fn rows(first: &[u8]) -> Dataset {
        let mut text = "emotion,pixels\n".to_owned();
        for (i, x) in first.iter().enumerate() {
            text.push_str(&format!("{},\"{x}{}\"\n", i % 7, " 0".repeat(2303)));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.csv");
        std::fs::write(&path, text).unwrap();
        Dataset::collect(Reader::open(&path, false).unwrap(), None).unwrap()
    }

    #[test]
    fn rows_with_a_training_rows_face_are_counted_and_the_others_scored() {
        let (train, valid) = (rows(&[1, 2, 3, 3]), rows(&[9, 3, 1, 8, 7]));
        let repeated = Overlap::of(&valid, &train);
        assert_eq!((repeated.count(), repeated.all()), (2, false));
        // Wrong on the repeated two, right on one of the others.
        let certain = |e: usize| {
            Probabilities::from_logits(&std::array::from_fn(|i| f32::from(u8::from(i == e)))).unwrap()
        };
        let predictions: Vec<_> = [0, 0, 0, 0, 0]
            .iter()
            .zip(&valid.labels)
            .map(|(e, label)| (*label, certain(*e)))
            .collect();
        let unseen = repeated.unseen(&predictions).unwrap();
        assert_eq!(unseen.rows, 3);
        assert!((unseen.accuracy - 1.0 / 3.0).abs() < 1e-12);
        let mut report = score(&predictions);
        repeated.extend(&mut report, &predictions);
        assert_eq!(
            (report.repeated_faces, report.unseen.map(|s| s.rows)),
            (Some(2), Some(3))
        );

        let own = Training {
            rows: Dataset::fingerprint(&train, &valid).into(),
            ..Training::default()
        };
        let mut training = own.clone();
        repeated.note(&mut training, &train, &valid);
        assert_eq!(training.repeated_faces, Some(2));
        // Of other rows nothing is noted.
        let mut training = own.clone();
        Overlap::of(&train, &train).note(&mut training, &train, &train);
        assert_eq!(training, own);

        assert!(Overlap::of(&train, &train).all());
        assert!(Overlap::of(&train, &train).unseen(&predictions[..4]).is_none());
        assert!(
            Overlap::of(&train, &rows(&[7]))
                .unseen(&predictions[..4])
                .is_none()
        );
    }
}
