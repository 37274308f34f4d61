//! Learning curves: loss and accuracy, epoch by epoch.

use super::{
    axes::Axes,
    pen::{Align, BLUE, GREEN, INK, Pen, SOFT, Type, VERMILION, picture},
};
use crate::{TrainError, run::EpochRecord};

/// A measure, its colour and its name.
type Line = (fn(&EpochRecord) -> f64, plotters::style::RGBColor, &'static str);

const LOSS: [Line; 2] = [
    (
        |r| r.train_loss,
        VERMILION,
        "training views, against their targets",
    ),
    (|r| r.valid_log_loss, BLUE, "validation log-loss"),
];
const SCORE: [Line; 3] = [
    (|r| r.train_accuracy, VERMILION, "training views, accuracy"),
    (|r| r.valid_accuracy, BLUE, "validation accuracy"),
    (|r| r.valid_macro_f1, GREEN, "validation macro-F1"),
];

pub(super) fn draw(records: &[EpochRecord]) -> Result<Vec<u8>, TrainError> {
    picture(1180, 570, |pen| {
        let best = records.iter().filter(|r| r.best).map(|r| r.epoch).next_back();
        let title = match (best, records.last()) {
            (Some(best), Some(last)) => format!("Learning curves: epoch {best} of {} was kept", last.epoch),
            _ => "Learning curves".to_owned(),
        };
        pen.text(&title, (82.0, 28.0), Type::new(22.0, INK, Align::Left).bold())?;
        panel(pen, records, (82.0, 562.0), &LOSS, "loss (nats)", best)?;
        panel(pen, records, (680.0, 1160.0), &SCORE, "share", best)
    })
}

fn panel(
    pen: &Pen<'_>,
    records: &[EpochRecord],
    across: (f64, f64),
    lines: &[Line],
    label: &str,
    best: Option<u32>,
) -> Result<(), TrainError> {
    let values = || {
        records
            .iter()
            .flat_map(|r| lines.iter().map(move |(value, ..)| value(r)))
    };
    let ticks_y = ticks(
        values().fold(f64::INFINITY, f64::min),
        values().fold(f64::NEG_INFINITY, f64::max),
    );
    let epochs = (
        records.first().map_or(1.0, |r| f64::from(r.epoch)),
        records.last().map_or(1.0, |r| f64::from(r.epoch)),
    );
    // One epoch alone still needs a width.
    let x = (epochs.0, epochs.1.max(epochs.0 + 1.0));
    let ticks_x: Vec<f64> = ticks(x.0, x.1)
        .into_iter()
        .filter(|t| (x.0..=x.1).contains(t) && t.fract() == 0.0)
        .collect();
    let axes = Axes {
        across,
        down: (150.0, 500.0),
        x,
        y: (
            ticks_y.first().copied().unwrap_or(0.0),
            ticks_y.last().copied().unwrap_or(1.0),
        ),
    };
    axes.draw(
        pen,
        (&ticks_x, &ticks_y),
        (&|v| format!("{v:.0}"), &tick_text),
        16.0,
    )?;
    axes.label(pen, "epoch", label, 16.0)?;
    if let Some(best) = best {
        let at = f64::from(best);
        pen.dashes(axes.at(at, axes.y.0), axes.at(at, axes.y.1), 1.2, SOFT)?;
    }
    for (i, (value, color, name)) in lines.iter().enumerate() {
        let points: Vec<_> = records
            .iter()
            .map(|r| axes.at(f64::from(r.epoch), value(r)))
            .collect();
        if points.len() > 1 {
            pen.line(&points, 2.2, *color)?;
        }
        // So that a line is also told by its points' presence where there are few.
        if points.len() <= 40 {
            for point in &points {
                pen.dot(*point, 3.0, *color)?;
            }
        }
        #[allow(clippy::cast_precision_loss)]
        let y = 66.0 + 24.0 * i as f64;
        pen.line(&[(across.0, y), (across.0 + 26.0, y)], 2.2, *color)?;
        pen.text(name, (across.0 + 36.0, y), Type::new(16.0, INK, Align::Left))?;
    }
    Ok(())
}

fn tick_text(v: f64) -> String {
    format!("{v:.3}")
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

/// Round values that reach from below `low` to above `high`: four to nine of them.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn ticks(low: f64, high: f64) -> Vec<f64> {
    if !(low.is_finite() && high.is_finite()) {
        return vec![0.0, 1.0];
    }
    let span = (high - low).max(1e-3);
    let power = 10f64.powf((span / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|f| f * power)
        .into_iter()
        .find(|s| span / s <= 6.0)
        .unwrap_or(10.0 * power);
    let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
    (first..=last.max(first + 1)).map(|i| i as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_what_they_are_for() {
        for (low, high) in [(0.26, 0.71), (0.9, 1.98), (1.0, 40.0), (0.5, 0.5), (1.0, 2.0)] {
            let got = ticks(low, high);
            assert!(got[0] <= low && *got.last().unwrap() >= high, "{got:?}");
            assert!((2..=9).contains(&got.len()), "{got:?}");
        }
        assert_eq!(ticks(1.0, 40.0), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(
            (tick_text(0.5), tick_text(20.0)),
            ("0.5".to_owned(), "20".to_owned())
        );
    }
}
