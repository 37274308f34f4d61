//! Rows to score on whose face a training row has, too. FER2013's own splits have such rows; scores on them say little of
//! other faces.

use std::collections::HashSet;

use serde_json::Value;

use super::{TrainError, data::Dataset, evaluate::Scores, output::json};
use fer_engine::emotion::{Emotion, Probabilities};

/// Of each row whether its face is among the training rows, whatever its label there.
#[derive(Debug)]
pub(super) struct Repeated(Vec<bool>);

impl Repeated {
    /// Of the rows of `data`.
    pub(super) fn of(data: &Dataset, train: &Dataset) -> Self {
        let known: HashSet<&[u8; 2304]> = train.faces().iter().collect();
        Self(data.faces().iter().map(|f| known.contains(f)).collect())
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.0.iter().filter(|r| **r).count()
    }

    /// Whether all are.
    pub(super) fn all(&self) -> bool {
        self.0.iter().all(|r| *r)
    }

    /// Scores of the other rows; none if all rows are others, or none is.
    pub(super) fn unseen(&self, predictions: &[(Emotion, Probabilities)]) -> Option<Scores> {
        let others = self.0.len() - self.count();
        (others > 0 && others < self.0.len()).then(|| {
            let rows = predictions.iter().zip(&self.0);
            Scores::from_predictions(rows.filter(|(_, repeated)| !**repeated).map(|(p, _)| *p))
        })
    }

    /// Adds `repeated_faces` and, if there are any, `unseen` to scores of these rows.
    ///
    /// # Errors
    /// Scores that are no JSON.
    pub(super) fn extend(&self, scores: &mut Value, unseen: Option<&Scores>) -> Result<(), TrainError> {
        let Some(object) = scores.as_object_mut() else {
            return Ok(());
        };
        object.insert("repeated_faces".to_owned(), self.count().into());
        if let Some(unseen) = unseen {
            let mut value = json(unseen)?;
            if let Some(few) = value.as_object_mut() {
                few.remove("per_class");
                few.remove("confusion");
            }
            object.insert("unseen".to_owned(), value);
        }
        Ok(())
    }

    /// Adds `repeated_faces` to what is said of a model's training, if these are the very rows it was trained and chosen on.
    pub(super) fn note(&self, training: &mut Value, train: &Dataset, data: &Dataset) {
        let own = json(&Dataset::fingerprint(train, data)).is_ok_and(|rows| training["rows"] == rows);
        if let (true, Some(object)) = (own, training.as_object_mut()) {
            object.insert("repeated_faces".to_owned(), self.count().into());
        }
    }
}

/// The other rows' scores in one line.
pub(super) fn unseen_line(repeated: usize, unseen: &Scores) -> String {
    format!(
        "{repeated} of the rows have the face of a training row; on the other {}: accuracy {:.4}, macro-F1 {:.4}, log-loss {:.4}, ECE {:.4}",
        unseen.rows, unseen.accuracy, unseen.macro_f1, unseen.log_loss, unseen.ece
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Options, Reader};

    /// Rows with those first pixels, label by label.
    fn rows(first: &[u8]) -> Dataset {
        let mut text = "emotion,pixels\n".to_owned();
        for (i, x) in first.iter().enumerate() {
            text.push_str(&format!("{},\"{x}{}\"\n", i % 7, " 0".repeat(2303)));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.csv");
        std::fs::write(&path, text).unwrap();
        Dataset::collect(Reader::open(&path, Options::default()).unwrap(), None).unwrap()
    }

    #[test]
    fn rows_with_a_training_rows_face_are_counted_and_the_others_scored() {
        let (train, valid) = (rows(&[1, 2, 3, 3]), rows(&[9, 3, 1, 8, 7]));
        let repeated = Repeated::of(&valid, &train);
        assert_eq!((repeated.count(), repeated.all()), (2, false));
        // Wrong on the repeated two, right on one of the others.
        let certain = |e: usize| {
            Probabilities::from_logits(&std::array::from_fn(|i| f32::from(u8::from(i == e)))).unwrap()
        };
        let predictions: Vec<_> = [0, 0, 0, 0, 0]
            .iter()
            .zip(valid.labels())
            .map(|(e, label)| (*label, certain(*e)))
            .collect();
        let unseen = repeated.unseen(&predictions).unwrap();
        assert_eq!(unseen.rows, 3);
        assert!((unseen.accuracy - 1.0 / 3.0).abs() < 1e-12);
        let mut scores = serde_json::json!({"rows": 5});
        repeated.extend(&mut scores, Some(&unseen)).unwrap();
        assert_eq!(
            (&scores["repeated_faces"], &scores["unseen"]["rows"]),
            (&2.into(), &3.into())
        );
        assert!(scores["unseen"].get("confusion").is_none());

        let own = serde_json::json!({"rows": Dataset::fingerprint(&train, &valid)});
        let mut training = own.clone();
        repeated.note(&mut training, &train, &valid);
        assert_eq!(training["repeated_faces"], 2);
        // Of other rows nothing is said.
        let mut training = own.clone();
        Repeated::of(&train, &train).note(&mut training, &train, &train);
        assert_eq!(training, own);

        assert!(Repeated::of(&train, &train).all());
        assert!(Repeated::of(&train, &train).unseen(&predictions[..4]).is_none());
        assert!(
            Repeated::of(&train, &rows(&[7]))
                .unseen(&predictions[..4])
                .is_none()
        );
    }
}
