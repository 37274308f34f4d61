//! Learning curves: loss and accuracy, epoch by epoch.

use plotters::prelude::*;

use super::draw::{Area, Axis, BLUE, GREEN, SOFT, VERMILION, chart, failed, image, legend, stroke};
use crate::{TrainError, run::EpochRecord};

/// A measure, its colour and its name.
type Line = (fn(&EpochRecord) -> f64, RGBColor, &'static str);

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

pub(super) fn draw(records: &[EpochRecord]) -> Result<String, TrainError> {
    let best = records.iter().filter(|r| r.best).map(|r| r.epoch).next_back();
    let title = match (best, records.last()) {
        (Some(best), Some(last)) => format!("Learning curves: epoch {best} of {} was kept", last.epoch),
        _ => "Learning curves".to_owned(),
    };
    image((1200, 620), title, |area| {
        let (left, right) = area.split_horizontally(600);
        panel(&left, records, &LOSS, "loss (nats)", best)?;
        panel(&right, records, &SCORE, "share", best)
    })
}

fn panel(
    area: &Area<'_>,
    records: &[EpochRecord],
    lines: &[Line],
    unit: &'static str,
    best: Option<u32>,
) -> Result<(), TrainError> {
    let epoch = |r: &EpochRecord| f64::from(r.epoch);
    let first = records.first().map_or(1.0, epoch);
    // A single epoch still needs a width.
    let last = records.last().map_or(1.0, epoch).max(first + 1.0);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (value, ..) in lines {
        for x in records.iter().map(value).filter(|x| x.is_finite()) {
            (low, high) = (low.min(x), high.max(x));
        }
    }
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    // Space above for the legend.
    let span = (high - low).max(1e-3);
    let (bottom, top) = (low - 0.05 * span, high + 0.3 * span);
    let axes = [
        Axis {
            range: first..last,
            labels: records.len().clamp(2, 10),
            name: "epoch",
            format: |v| format!("{v:.0}"),
            space: 58,
        },
        Axis {
            range: bottom..top,
            labels: 8,
            name: unit,
            format: |v| format!("{v:.2}"),
            space: 80,
        },
    ];
    let mut chart = chart(area, None, axes)?;
    if let Some(best) = best.map(f64::from) {
        let line = DashedLineSeries::new([(best, bottom), (best, top)], 6, 5, SOFT.stroke_width(1));
        chart.draw_series(line).map_err(failed)?;
    }
    for &(value, color, name) in lines {
        let points = records.iter().map(|r| (epoch(r), value(r)));
        // Points where there are few, so that one epoch alone is seen.
        let size = if records.len() <= 40 { 3 } else { 0 };
        let line = LineSeries::new(points, color.stroke_width(2).filled()).point_size(size);
        let series = chart.draw_series(line).map_err(failed)?;
        series.label(name).legend(move |at| stroke(at, color));
    }
    legend(&mut chart, SeriesLabelPosition::UpperRight)
}
