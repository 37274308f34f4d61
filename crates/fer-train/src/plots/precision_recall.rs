//! Precision against recall, a frame for each label.

use super::{
    Subject,
    axes::Axes,
    pen::{Align, INK},
    pen::{BLUE, Pen, SOFT, Type, VERMILION, name, picture},
};
use crate::TrainError;
use fer_engine::emotion::{Emotion, Probabilities};

const TICKS: [f64; 3] = [0.0, 0.5, 1.0];
const FRAME: f64 = 222.0;
const STEP: (f64, f64) = (280.0, 310.0);

pub(super) fn draw(subject: &Subject<'_>) -> Result<Vec<u8>, TrainError> {
    picture(1180, 720, |pen| frames(pen, subject))
}

/// A label's curve.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    /// Recall and precision as the probability asked for falls; rows of the same probability are one step.
    pub(super) points: Vec<(f64, f64)>,
    /// Mean of the precisions, each weighted by the recall it adds.
    pub(super) average: f64,
}

/// The curve of a label; empty if no row has it.
#[allow(clippy::cast_precision_loss)]
pub(super) fn curve(predictions: &[(Emotion, Probabilities)], label: Emotion) -> Curve {
    let mut rows: Vec<(f32, bool)> = predictions
        .iter()
        .map(|(truth, p)| (p.values()[label.index()], *truth == label))
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = rows.iter().filter(|r| r.1).count() as f64;
    let mut curve = Curve {
        points: Vec::new(),
        average: 0.0,
    };
    if all == 0.0 {
        return curve;
    }
    let (mut right, mut last) = (0.0, 0.0);
    for (i, (p, is)) in rows.iter().enumerate() {
        right += f64::from(u8::from(*is));
        if rows.get(i + 1).is_some_and(|next| next.0.total_cmp(p).is_eq()) {
            continue;
        }
        let (recall, precision) = (right / all, right / (i + 1) as f64);
        curve.average += (recall - last) * precision;
        last = recall;
        curve.points.push((recall, precision));
    }
    curve
}

#[allow(clippy::cast_precision_loss)]
fn frames(pen: &Pen<'_>, subject: &Subject<'_>) -> Result<(), TrainError> {
    let mut average = 0.0;
    for emotion in Emotion::ALL {
        let (column, row) = (emotion.index() % 4, emotion.index() / 4);
        let corner = (72.0 + column as f64 * STEP.0, 92.0 + row as f64 * STEP.1);
        let axes = Axes {
            across: (corner.0, corner.0 + FRAME),
            down: (corner.1, corner.1 + FRAME),
            x: (0.0, 1.0),
            y: (0.0, 1.0),
        };
        let short = |v: f64| format!("{v}");
        axes.draw(pen, (&TICKS, &TICKS), (&short, &short), 15.0)?;
        let curve = curve(subject.predictions, emotion);
        average += curve.average / Emotion::ALL.len() as f64;
        let points: Vec<_> = curve.points.iter().map(|(r, p)| axes.at(*r, *p)).collect();
        pen.line(&points, 2.0, BLUE)?;
        let scores = &subject.scores.per_class[emotion.index()];
        pen.dot(axes.at(scores.recall, scores.precision), 5.0, VERMILION)?;
        axes.title(pen, &name(emotion), 18.0)?;
        let beside = (axes.across.1, axes.down.0 - 0.9 * 18.0);
        pen.text(
            &format!("AP {:.2}", curve.average),
            beside,
            Type::new(16.0, SOFT, Align::Right),
        )?;
    }
    let title = format!("Precision and recall: mean average precision {average:.3}");
    pen.text(&title, (72.0, 28.0), Type::new(22.0, INK, Align::Left).bold())?;
    // The eighth place explains.
    let (x, y) = (72.0 + 3.0 * STEP.0, 92.0 + STEP.1);
    let how = Type::new(16.0, INK, Align::Left);
    pen.line(&[(x, y + 20.0), (x + 26.0, y + 20.0)], 2.0, BLUE)?;
    pen.text("as the probability", (x + 38.0, y + 20.0), how)?;
    pen.text("asked for falls", (x + 38.0, y + 41.0), how)?;
    pen.dot((x + 13.0, y + 78.0), 5.0, VERMILION)?;
    pen.text("where the label is", (x + 38.0, y + 78.0), how)?;
    pen.text("the likeliest one", (x + 38.0, y + 99.0), how)?;
    pen.text("AP", (x, y + 136.0), how.bold())?;
    pen.text("average precision", (x + 38.0, y + 136.0), how)?;
    let soft = Type::new(16.0, SOFT, Align::Centre);
    pen.text("recall", (464.0, 684.0), soft)?;
    pen.text_up("precision", (20.0, 358.0), soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probability of happy is `p`, the others share the rest.
    fn row(truth: Emotion, p: f32) -> (Emotion, Probabilities) {
        let mut logits = [((1.0 - p) / 6.0).ln(); 7];
        logits[Emotion::Happy.index()] = p.ln();
        (truth, Probabilities::from_logits(&logits).unwrap())
    }

    #[test]
    fn a_curve_by_hand() {
        let rows = [
            row(Emotion::Sad, 0.3),
            row(Emotion::Happy, 0.9),
            row(Emotion::Sad, 0.8),
            row(Emotion::Happy, 0.5),
        ];
        let got = curve(&rows, Emotion::Happy);
        let wanted = [(0.5, 1.0), (0.5, 0.5), (1.0, 2.0 / 3.0), (1.0, 0.5)];
        assert_eq!(got.points, wanted);
        assert!((got.average - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);
        assert_eq!(curve(&rows, Emotion::Fear).points, []);
    }

    #[test]
    fn rows_of_one_probability_are_one_step() {
        // Their order in the file must not matter.
        for rows in [
            [row(Emotion::Happy, 0.6), row(Emotion::Sad, 0.6)],
            [row(Emotion::Sad, 0.6), row(Emotion::Happy, 0.6)],
        ] {
            let got = curve(&rows, Emotion::Happy);
            assert_eq!(got.points, [(1.0, 0.5)]);
            assert!((got.average - 0.5).abs() < 1e-12);
        }
    }
}
