//! Scores from pairs of true label and predicted probabilities.

use fer_engine::{
    emotion::{CLASSES, Emotion},
    folder::{ClassScores, Kept, ScoreReport, Scores},
};

use super::Predictions;

const ECE_BINS: usize = 15;
/// Lower bound of the true label's probability in the log-loss: a single row whose probability is rounded to 0
/// would make the mean infinite.
const LEAST_PROBABILITY: f64 = 1e-7;

/// The scores of the table, the card, the page and the one-line summaries, in their order, with the names shown there.
pub(crate) fn named(scores: &Scores) -> Vec<(&'static str, f64)> {
    // Without `..`, so that a new score must be given a name here.
    let Scores {
        accuracy,
        macro_f1,
        log_loss,
        ece,
        rows: _,
    } = *scores;
    vec![
        ("accuracy", accuracy),
        ("macro-F1", macro_f1),
        ("log-loss", log_loss),
        ("ECE", ece),
    ]
}

/// `accuracy 0.6826, macro-F1 0.6717, …`
pub(crate) fn in_words(scores: &Scores) -> String {
    let words: Vec<_> = named(scores)
        .iter()
        .map(|(name, value)| format!("{name} {value:.4}"))
        .collect();
    words.join(", ")
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Bin {
    /// Rows whose likeliest label has a probability in this bin.
    pub(crate) rows: u64,
    /// Those of them whose likeliest label is the true one.
    pub(crate) right: u64,
    pub(crate) confidence: f64,
}

/// The bins of the calibration error, from probability 0 up.
pub(crate) fn reliability(predictions: &Predictions) -> [Bin; ECE_BINS] {
    let mut bins = [Bin::default(); ECE_BINS];
    for (truth, probabilities) in predictions {
        let (predicted, confidence) = probabilities.top();
        let confidence = f64::from(confidence);
        let bin = &mut bins[bin_of(confidence)];
        bin.rows += 1;
        bin.right += u64::from(predicted == *truth);
        bin.confidence += confidence;
    }
    bins
}

pub(crate) fn score(predictions: &Predictions) -> ScoreReport {
    let mut confusion = [[0; CLASSES]; CLASSES];
    let mut loss = 0.0;
    for (truth, probabilities) in predictions {
        confusion[truth.index()][probabilities.top().0.index()] += 1;
        loss -= f64::from(probabilities.values()[truth.index()])
            .max(LEAST_PROBABILITY)
            .ln();
    }
    let rows = predictions.len() as u64;
    let per_class: [Kept<_>; CLASSES] = std::array::from_fn(|i| class_scores(&confusion, i).into());
    let right = (0..CLASSES).map(|i| confusion[i][i]).sum();
    let gaps = reliability(predictions).map(|b| (float(b.right) - b.confidence).abs());
    ScoreReport {
        scores: Scores {
            accuracy: ratio(right, rows),
            macro_f1: per_class.iter().map(|c| c.f1).sum::<f64>() / CLASSES as f64,
            log_loss: mean(loss, rows),
            ece: mean(gaps.iter().sum(), rows),
            rows,
        },
        per_class,
        confusion,
        repeated_faces: None,
        unseen: None,
        extra: serde_json::Map::new(),
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

/// The table that `eval` prints.
pub(crate) fn table(report: &ScoreReport) -> String {
    let mut text = String::new();
    for (name, value) in named(&report.scores) {
        text += &format!("{name:<10}{value:>8.4}\n");
    }
    text += &format!("{:<10}{:>8}\n\n", "rows", report.scores.rows);
    text += &format!(
        "{:<10}{:>10}{:>10}{:>10}{:>10}\n",
        "label", "precision", "recall", "F1", "rows"
    );
    for (emotion, class) in Emotion::ALL.iter().zip(&report.per_class) {
        let (name, c) = (emotion.name(), class);
        text += &format!(
            "{name:<10}{:>10.4}{:>10.4}{:>10.4}{:>10}\n",
            c.precision, c.recall, c.f1, c.support
        );
    }
    text += &format!("\nconfusion: rows true, columns predicted\n{:<10}", "");
    text.extend(Emotion::ALL.map(|e| format!("{:>10}", e.name())));
    for (emotion, row) in Emotion::ALL.iter().zip(&report.confusion) {
        text += &format!("\n{:<10}", emotion.name());
        text.extend(row.map(|count| format!("{count:>10}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use fer_engine::emotion::Probabilities;

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
        let report = score(&[
            (Angry, sure(Angry, 0.8)),
            (Angry, sure(Angry, 0.9)),
            (Sad, sure(Happy, 0.9)),
        ]);
        let scores = report.scores;
        close(scores.accuracy, 2.0 / 3.0);
        close(scores.macro_f1, 1.0 / 7.0);
        close(
            scores.log_loss,
            -(0.8f64.ln() + 0.9f64.ln() + (0.1f64 / 6.0).ln()) / 3.0,
        );
        // 0.8 lies in (11/15, 12/15] and both 0.9 in (13/15, 14/15].
        close(scores.ece, ((1.0f64 - 0.8).abs() + (1.0f64 - 1.8).abs()) / 3.0);
        assert_eq!(scores.rows, 3);
        assert_eq!(report.confusion[Sad.index()][Happy.index()], 1);
        let happy = &report.per_class[Happy.index()];
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
        let report = score(&rows.collect::<Vec<_>>());
        let scores = report.scores;
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
        for (got, (precision, recall, f1, support)) in report.per_class.iter().zip(per_class) {
            close(got.precision, precision);
            close(got.recall, recall);
            close(got.f1, f1);
            assert_eq!(got.support, support);
        }
        assert_eq!(
            report.confusion,
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
        close(score(&[wrong]).scores.log_loss, -(1e-7f64.ln()));
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
        let scores = score(&[]).scores;
        assert_eq!(
            (scores.accuracy, scores.macro_f1, scores.log_loss, scores.ece),
            (0.0, 0.0, 0.0, 0.0)
        );
        assert_eq!(scores.rows, 0);
    }

    #[test]
    fn json_and_table_have_their_fixed_form() {
        use Emotion::{Angry, Neutral};
        let report = score(&[(Angry, sure(Angry, 0.5)), (Neutral, sure(Angry, 0.5))]);
        insta::assert_snapshot!(serde_json::to_string(&report).unwrap().replace(":{", ":\n{"));
        insta::assert_snapshot!(table(&report));
    }
}
