//! Precision against recall, a frame for each label.

use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Subject,
    draw::{Area, Axis, BLUE, INK, SMALL, VERMILION, chart, failed, image, stroke, text, write},
};
use crate::{TrainError, score::Predictions};
use fer_engine::emotion::{CLASSES, Emotion};

/// Steps of recall and precision that are drawn apart: a frame has fewer pixels.
const STEPS: f64 = 400.0;

pub(super) fn draw(subject: &Subject<'_>) -> Result<String, TrainError> {
    let curves = Emotion::ALL.map(|e| curve(subject.predictions, e));
    let average = curves.iter().map(|c| c.average).sum::<f64>() / CLASSES as f64;
    let title = format!("Precision and recall: mean average precision {average:.3}");
    image((1280, 760), title, |area| {
        let panels = area.split_evenly((2, 4));
        for ((emotion, curve), panel) in Emotion::ALL.into_iter().zip(curves).zip(&panels) {
            let scores = &subject.report.per_class[emotion.index()];
            frame(panel, emotion, curve, (scores.recall, scores.precision))?;
        }
        panels.last().map_or(Ok(()), legend)
    })
}

/// A label's curve.
#[derive(Debug, Clone, PartialEq)]
struct Curve {
    /// Recall and precision as the probability asked for falls; rows of the same probability are one step.
    points: Vec<(f64, f64)>,
    /// Mean of the precisions, each weighted by the recall it adds.
    average: f64,
}

/// The curve of a label; empty if no row has it.
#[allow(clippy::cast_precision_loss)]
fn curve(predictions: &Predictions, label: Emotion) -> Curve {
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

fn frame(area: &Area<'_>, emotion: Emotion, mut curve: Curve, chosen: (f64, f64)) -> Result<(), TrainError> {
    let caption = format!("{emotion}, AP {:.2}", curve.average);
    let axis = |name, space| Axis {
        range: 0.0..1.0,
        labels: 3,
        name,
        format: ToString::to_string,
        space,
    };
    let axes = [axis("recall", 46), axis("precision", 58)];
    let mut chart = chart(area, Some(caption), axes)?;
    curve
        .points
        .dedup_by_key(|(recall, precision)| ((*recall * STEPS).round(), (*precision * STEPS).round()));
    let line = LineSeries::new(curve.points, BLUE.stroke_width(2));
    chart.draw_series(line).map_err(failed)?;
    let dot = Circle::new(chosen, 5, VERMILION.filled());
    chart.draw_series([dot]).map_err(failed)?;
    Ok(())
}

/// The eighth place explains the others.
fn legend(area: &Area<'_>) -> Result<(), TrainError> {
    let how = text(SMALL, INK);
    area.draw(&stroke((40, 90), BLUE)).map_err(failed)?;
    area.draw(&Circle::new((53, 150), 5, VERMILION.filled()))
        .map_err(failed)?;
    for (words, y) in [
        ("as the probability", 90),
        ("asked for falls", 112),
        ("where the label is", 150),
        ("the likeliest one", 172),
        ("AP: average precision", 210),
    ] {
        write(area, words, (80, y), HPos::Left, &how)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use fer_engine::emotion::Probabilities;

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
