//! How good a model is: scores from pairs of true label and predicted probabilities.

use std::fmt;

use serde::ser::{SerializeMap, Serializer};

use fer_engine::emotion::{CLASSES, Emotion, Probabilities};

/// Bins of the expected calibration error.
const ECE_BINS: usize = 15;
/// No true label's probability counts as less than this in the log-loss: one row in which it is rounded to 0
/// would make the mean infinite.
const LEAST_PROBABILITY: f64 = 1e-7;

/// One label's scores, 0–1. A score whose denominator is 0 is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
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

/// A model's scores on labelled rows, as fractions. Without rows all are 0.
///
/// Serialises as the object that `eval --json` prints: the fields in this order, `per_class` with the labels
/// as keys in the order of [`Emotion::ALL`]. [`fmt::Display`] gives a table.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
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
    /// How many rows.
    pub rows: u64,
    /// Each label's scores, in the order of [`Emotion::ALL`].
    #[serde(serialize_with = "by_label")]
    pub per_class: [ClassScores; CLASSES],
    /// Rows by true label (first index) and predicted label (second), both in the order of [`Emotion::ALL`].
    pub confusion: [[u64; CLASSES]; CLASSES],
}

fn by_label<S: Serializer>(classes: &[ClassScores; CLASSES], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(CLASSES))?;
    for (emotion, scores) in Emotion::ALL.iter().zip(classes) {
        map.serialize_entry(emotion.name(), scores)?;
    }
    map.end()
}

/// What falls into one bin of the calibration error.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bin {
    /// Rows whose likeliest label has a probability in this bin.
    pub rows: u64,
    /// Those of them whose likeliest label is the true one.
    pub right: u64,
    /// Sum of those probabilities.
    pub confidence: f64,
}

/// The bins of the calibration error, from probability 0 up.
#[must_use]
pub fn reliability(predictions: &[(Emotion, Probabilities)]) -> [Bin; ECE_BINS] {
    let mut bins = [Bin::default(); ECE_BINS];
    for (truth, probabilities) in predictions {
        let (predicted, confidence) = probabilities.top();
        bins[bin_of(f64::from(confidence))].take(predicted == *truth, f64::from(confidence));
    }
    bins
}

impl Bin {
    fn take(&mut self, right: bool, confidence: f64) {
        self.rows += 1;
        self.right += u64::from(right);
        self.confidence += confidence;
    }
}

impl Scores {
    /// Scores rows of true label and predicted probabilities.
    #[must_use]
    pub fn from_predictions(predictions: impl IntoIterator<Item = (Emotion, Probabilities)>) -> Self {
        let mut confusion = [[0; CLASSES]; CLASSES];
        let mut bins = [Bin::default(); ECE_BINS];
        let (mut rows, mut loss) = (0, 0.0);
        for (truth, probabilities) in predictions {
            let (predicted, confidence) = probabilities.top();
            let confidence = f64::from(confidence);
            rows += 1;
            confusion[truth.index()][predicted.index()] += 1;
            loss -= f64::from(probabilities.values()[truth.index()])
                .max(LEAST_PROBABILITY)
                .ln();
            bins[bin_of(confidence)].take(predicted == truth, confidence);
        }
        let per_class = std::array::from_fn(|i| class_scores(&confusion, i));
        let right = (0..CLASSES).map(|i| confusion[i][i]).sum();
        Self {
            accuracy: ratio(right, rows),
            macro_f1: per_class.iter().map(|c: &ClassScores| c.f1).sum::<f64>() / CLASSES as f64,
            log_loss: mean(loss, rows),
            ece: mean(
                bins.iter().map(|b| (float(b.right) - b.confidence).abs()).sum(),
                rows,
            ),
            rows,
            per_class,
            confusion,
        }
    }
}

/// The bin ((m−1)/15, m/15] that a probability falls into, from 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn bin_of(confidence: f64) -> usize {
    let upper = (confidence * ECE_BINS as f64).ceil() as usize;
    upper.clamp(1, ECE_BINS) - 1
}

fn class_scores(confusion: &[[u64; CLASSES]; CLASSES], i: usize) -> ClassScores {
    let right = confusion[i][i];
    let support: u64 = confusion[i].iter().sum();
    let predicted: u64 = confusion.iter().map(|row| row[i]).sum();
    ClassScores {
        precision: ratio(right, predicted),
        recall: ratio(right, support),
        // 2PR / (P + R), without its division by zero where only one of the two is 0/0.
        f1: ratio(2 * right, predicted + support),
        support,
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    mean(float(part), whole)
}

fn mean(sum: f64, rows: u64) -> f64 {
    if rows == 0 { 0.0 } else { sum / float(rows) }
}

/// Exact up to 2^53 rows.
#[allow(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in [
            ("accuracy", self.accuracy),
            ("macro-F1", self.macro_f1),
            ("log-loss", self.log_loss),
            ("ECE", self.ece),
        ] {
            writeln!(f, "{name:<10}{value:>8.4}")?;
        }
        writeln!(f, "{:<10}{:>8}\n", "rows", self.rows)?;
        writeln!(
            f,
            "{:<10}{:>10}{:>10}{:>10}{:>10}",
            "label", "precision", "recall", "F1", "rows"
        )?;
        for (emotion, c) in Emotion::ALL.iter().zip(&self.per_class) {
            writeln!(
                f,
                "{:<10}{:>10.4}{:>10.4}{:>10.4}{:>10}",
                emotion.name(),
                c.precision,
                c.recall,
                c.f1,
                c.support
            )?;
        }
        write!(f, "\nconfusion: rows true, columns predicted\n{:<10}", "")?;
        for emotion in Emotion::ALL {
            write!(f, "{:>10}", emotion.name())?;
        }
        for (emotion, row) in Emotion::ALL.iter().zip(&self.confusion) {
            write!(f, "\n{:<10}", emotion.name())?;
            for count in row {
                write!(f, "{count:>10}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities with `p` on one label and the rest spread evenly.
    fn sure(emotion: Emotion, p: f32) -> Probabilities {
        let mut logits = [((1.0 - p) / 6.0).max(1e-30).ln(); CLASSES];
        logits[emotion.index()] = p.ln();
        Probabilities::from_logits(&logits).unwrap()
    }

    #[track_caller]
    fn close(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-6, "{got} is not {wanted}");
    }

    // By hand: two angry rows right with 0.8 and 0.9, a sad one taken for happy with 0.9.
    #[test]
    fn three_rows_by_hand() {
        use Emotion::{Angry, Happy, Sad};
        let scores = Scores::from_predictions([
            (Angry, sure(Angry, 0.8)),
            (Angry, sure(Angry, 0.9)),
            (Sad, sure(Happy, 0.9)),
        ]);
        close(scores.accuracy, 2.0 / 3.0);
        close(scores.macro_f1, 1.0 / 7.0);
        close(
            scores.log_loss,
            -(0.8f64.ln() + 0.9f64.ln() + (0.1f64 / 6.0).ln()) / 3.0,
        );
        // 0.8 lies in (11/15, 12/15] and both 0.9 in (13/15, 14/15].
        close(scores.ece, ((1.0f64 - 0.8).abs() + (1.0f64 - 1.8).abs()) / 3.0);
        assert_eq!(scores.rows, 3);
        assert_eq!(scores.confusion[Sad.index()][Happy.index()], 1);
        let happy = scores.per_class[Happy.index()];
        assert_eq!(
            (happy.precision, happy.recall, happy.f1, happy.support),
            (0.0, 0.0, 0.0, 0)
        );
    }

    // Expected values from scikit-learn 1.9.1 (accuracy_score, f1_score and precision_recall_fscore_support
    // over all seven labels with zero_division=0, log_loss, confusion_matrix) and NumPy (ECE) on the same rows.
    #[test]
    fn two_hundred_rows_as_scikit_learn_scores_them() {
        let rows = (0..200usize).map(|i| {
            let truth = if i % 5 == 0 { i % 3 } else { (i * i + 3 * i) % 7 };
            let mut logits: [f32; CLASSES] =
                std::array::from_fn(|j| ((i * (7 + j) + j * j * 5) % 17) as f32 / 4.0);
            if i % 3 == 0 {
                logits[truth] += 2.5;
            }
            (Emotion::ALL[truth], Probabilities::from_logits(&logits).unwrap())
        });
        let scores = Scores::from_predictions(rows);
        close(scores.accuracy, 0.37);
        close(scores.macro_f1, 0.257_602_516_052_540_2);
        close(scores.log_loss, 1.861_754_817_686_030_1);
        close(scores.ece, 0.170_515_638_291_835_8);
        let per_class = [
            (0.551_020_408, 0.45, 0.495_412_844, 60),
            (0.0, 0.0, 0.0, 13),
            (0.0, 0.0, 0.0, 13),
            (0.571_428_571, 0.333_333_333, 0.421_052_632, 24),
            (0.396_551_724, 0.5, 0.442_307_692, 46),
            (0.571_428_571, 0.363_636_364, 0.444_444_444, 44),
            (0.0, 0.0, 0.0, 0),
        ];
        for (got, (precision, recall, f1, support)) in scores.per_class.iter().zip(per_class) {
            close(got.precision, precision);
            close(got.recall, recall);
            close(got.f1, f1);
            assert_eq!(got.support, support);
        }
        assert_eq!(
            scores.confusion,
            [
                [27, 6, 3, 1, 13, 6, 4],
                [2, 0, 1, 1, 5, 2, 2],
                [3, 3, 0, 1, 4, 1, 1],
                [4, 3, 1, 8, 5, 1, 2],
                [8, 5, 2, 1, 23, 2, 5],
                [5, 8, 1, 2, 8, 16, 4],
                [0; 7],
            ]
        );
    }

    #[test]
    fn a_probability_of_nothing_costs_a_bounded_loss() {
        let mut logits = [-1000.0; CLASSES];
        logits[0] = 1000.0;
        let wrong = (Emotion::Sad, Probabilities::from_logits(&logits).unwrap());
        close(Scores::from_predictions([wrong]).log_loss, -(1e-7f64.ln()));
    }

    #[test]
    fn bins_are_open_below_and_closed_above() {
        assert_eq!(bin_of(1.0 / 7.0), 2);
        assert_eq!(bin_of(0.2), 2);
        assert_eq!(bin_of(0.2 + 1e-9), 3);
        assert_eq!(bin_of(1.0), 14);
        assert_eq!(bin_of(1.0 + 1e-7), 14);
        assert_eq!(bin_of(0.0), 0);
    }

    #[test]
    fn no_rows_score_nothing() {
        let scores = Scores::from_predictions([]);
        assert_eq!(
            (scores.accuracy, scores.macro_f1, scores.log_loss, scores.ece),
            (0.0, 0.0, 0.0, 0.0)
        );
        assert_eq!(scores.rows, 0);
    }

    #[test]
    fn json_and_table_have_their_fixed_form() {
        use Emotion::{Angry, Neutral};
        let scores = Scores::from_predictions([(Angry, sure(Angry, 0.5)), (Neutral, sure(Angry, 0.5))]);
        insta::assert_snapshot!(serde_json::to_string(&scores).unwrap().replace(":{", ":\n{"));
        insta::assert_snapshot!(scores.to_string());
    }
}
