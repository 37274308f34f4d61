//! Learning curves: loss and accuracy, epoch by epoch.

use plotters::{prelude::*, style::text_anchor::HPos};

use super::draw::{
    Area, BLUE, GREEN, GRID, INK, SMALL, SOFT, TEXT, VERMILION, failed, image, stroke, text, title, write,
};
use crate::{TrainError, progress::EpochRecord};

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
    image((1200, 620), |area| {
        let best = records.iter().filter(|r| r.best).map(|r| r.epoch).next_back();
        let words = match (best, records.last()) {
            (Some(best), Some(last)) => format!("Learning curves: epoch {best} of {} was kept", last.epoch),
            _ => "Learning curves".to_owned(),
        };
        let (head, body) = area.split_vertically(60);
        write(&head, words, (20, 26), HPos::Left, &title())?;
        let (left, right) = body.split_horizontally(600);
        panel(&left, records, &LOSS, "loss (nats)", best)?;
        panel(&right, records, &SCORE, "share", best)
    })
}

fn panel(
    area: &Area<'_>,
    records: &[EpochRecord],
    lines: &[Line],
    unit: &str,
    best: Option<u32>,
) -> Result<(), TrainError> {
    let first = records.first().map_or(1, |r| r.epoch);
    // A single epoch still needs a width.
    let last = records.last().map_or(1, |r| r.epoch).max(first + 1);
    let values = records
        .iter()
        .flat_map(|r| lines.iter().map(move |(value, ..)| value(r)));
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    // Space above for the legend.
    let span = (high - low).max(1e-3);
    let (bottom, top) = (low - 0.05 * span, high + 0.3 * span);
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(58)
        .y_label_area_size(80)
        .build_cartesian_2d(first..last, bottom..top)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(SOFT)
        .x_desc("epoch")
        .y_desc(unit)
        .axis_desc_style(text(TEXT, SOFT))
        .label_style(text(SMALL, INK))
        .y_label_formatter(&|v| format!("{v:.2}"))
        .draw()
        .map_err(failed)?;
    if let Some(best) = best {
        let line = DashedLineSeries::new([(best, bottom), (best, top)], 6, 5, SOFT.stroke_width(1));
        chart.draw_series(line).map_err(failed)?;
    }
    for (value, color, name) in lines {
        let color = *color;
        let points: Vec<_> = records.iter().map(|r| (r.epoch, value(r))).collect();
        // Points where there are few, so that one epoch alone is seen.
        let size = if points.len() <= 40 { 3 } else { 0 };
        let line = LineSeries::new(points, color.stroke_width(2).filled()).point_size(size);
        let series = chart.draw_series(line).map_err(failed)?;
        series.label(*name).legend(move |at| stroke(at, color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .label_font(text(SMALL, INK))
        .draw()
        .map_err(failed)
}
