//! The reliability diagram: how often the likeliest label is right, by its probability.

use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Subject,
    draw::{
        Area, BLUE, GRID, INK, SMALL, SOFT, TEXT, VERMILION, failed, image, percent, stroke, text, title,
        write,
    },
};
use crate::{
    TrainError,
    score::scores::{Bin, reliability, score},
};

pub(super) fn draw(subject: &Subject<'_>) -> Result<String, TrainError> {
    image((800, 860), |area| {
        let (head, body) = area.split_vertically(60);
        let words = format!(
            "Reliability: expected calibration error {:.3}",
            subject.report.scores.ece
        );
        write(&head, words, (20, 26), HPos::Left, &title())?;
        let (upper, lower) = body.split_vertically(560);
        let bins = reliability(subject.predictions);
        accuracies(&upper, subject, &bins)?;
        shares(&lower, &bins)
    })
}

/// The bins that have rows, from their lower to their upper probability.
#[allow(clippy::cast_precision_loss)]
fn filled(bins: &[Bin]) -> impl Iterator<Item = (f64, f64, &Bin)> {
    let width = 1.0 / bins.len() as f64;
    bins.iter()
        .enumerate()
        .filter(|(_, bin)| bin.rows > 0)
        .map(move |(i, bin)| (i as f64 * width, (i + 1) as f64 * width, bin))
}

#[allow(clippy::cast_precision_loss)]
fn accuracies(area: &Area<'_>, subject: &Subject<'_>, bins: &[Bin]) -> Result<(), TrainError> {
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(30)
        .y_label_area_size(90)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(SOFT)
        .x_labels(6)
        .y_labels(6)
        .y_desc("right")
        .x_label_formatter(&percent)
        .y_label_formatter(&percent)
        .axis_desc_style(text(TEXT, SOFT))
        .label_style(text(SMALL, INK))
        .draw()
        .map_err(failed)?;
    let temperature = subject.manifest.temperature();
    let answers = match subject.uncalibrated {
        Some(_) => format!("as answered (temperature {temperature:.3})"),
        None => "as answered".to_owned(),
    };
    let color = BLUE.mix(0.75).filled();
    let bars = filled(bins).map(|(from, to, bin)| {
        let corners = [(from, 0.0), (to, bin.right as f64 / bin.rows as f64)];
        let mut bar = Rectangle::new(corners, color);
        bar.set_margin(0, 0, 1, 1);
        bar
    });
    let series = chart.draw_series(bars).map_err(failed)?;
    series
        .label(answers)
        .legend(move |(x, y)| Rectangle::new([(x, y - 7), (x + 26, y + 7)], color));
    if let Some(rows) = subject.uncalibrated {
        let found = reliability(rows);
        let points = filled(&found).map(|(_, _, bin)| {
            let rows = bin.rows as f64;
            (bin.confidence / rows, bin.right as f64 / rows)
        });
        let style = VERMILION.stroke_width(2).filled();
        let line = LineSeries::new(points, style).point_size(4);
        let series = chart.draw_series(line).map_err(failed)?;
        let ece = score(rows).scores.ece;
        series
            .label(format!("without temperature (error {ece:.3})"))
            .legend(|at| stroke(at, VERMILION));
    }
    let diagonal = DashedLineSeries::new([(0.0, 0.0), (1.0, 1.0)], 7, 5, INK.stroke_width(2));
    let series = chart.draw_series(diagonal).map_err(failed)?;
    series
        .label("a probability that means what it says")
        .legend(|at| stroke(at, INK));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .label_font(text(SMALL, INK))
        .draw()
        .map_err(failed)
}

/// The share of rows in each bin.
#[allow(clippy::cast_precision_loss)]
fn shares(area: &Area<'_>, bins: &[Bin]) -> Result<(), TrainError> {
    let rows: u64 = bins.iter().map(|b| b.rows).sum();
    let share = |bin: &Bin| bin.rows as f64 / rows.max(1) as f64;
    // Up to the next 10 %.
    let most = bins.iter().map(share).fold(0.0, f64::max);
    let top = ((10.0 * most).ceil() / 10.0).clamp(0.1, 1.0);
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(58)
        .y_label_area_size(90)
        .build_cartesian_2d(0.0..1.0, 0.0..top)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(SOFT)
        .x_labels(6)
        .y_labels(4)
        .x_desc("probability of the likeliest label")
        .y_desc("rows")
        .x_label_formatter(&percent)
        .y_label_formatter(&percent)
        .axis_desc_style(text(TEXT, SOFT))
        .label_style(text(SMALL, INK))
        .draw()
        .map_err(failed)?;
    let bars = filled(bins).map(|(from, to, bin)| {
        let mut bar = Rectangle::new([(from, 0.0), (to, share(bin))], SOFT.mix(0.55).filled());
        bar.set_margin(0, 0, 1, 1);
        bar
    });
    chart.draw_series(bars).map_err(failed)?;
    Ok(())
}
