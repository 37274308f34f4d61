//! The reliability diagram: how often the likeliest label is right, by its probability.

use plotters::prelude::*;

use super::{
    Subject,
    draw::{Area, Axis, BLUE, Chart, INK, SOFT, VERMILION, chart, failed, image, legend, percent, stroke},
};
use crate::{
    TrainError,
    score::scores::{Bin, reliability, score},
};

pub(super) fn draw(subject: &Subject<'_>) -> Result<String, TrainError> {
    let ece = subject.report.scores.ece;
    let title = format!("Reliability: expected calibration error {ece:.3}");
    image((800, 860), title, |area| {
        let (upper, lower) = area.split_vertically(560);
        let bins = reliability(subject.predictions);
        accuracies(&upper, subject, &bins)?;
        shares(&lower, &bins)
    })
}

/// A bar for each bin that has rows.
fn bars(
    bins: &[Bin],
    height: impl Fn(&Bin) -> f64,
    style: ShapeStyle,
) -> impl Iterator<Item = Rectangle<(f64, f64)>> {
    filled(bins).map(move |(from, to, bin)| {
        let mut bar = Rectangle::new([(from, 0.0), (to, height(bin))], style);
        bar.set_margin(0, 0, 1, 1);
        bar
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

/// A chart over the probability of the likeliest label.
fn frame<'a, 'b>(
    area: &'a Area<'b>,
    x: (&'static str, u32),
    y: (&'static str, f64, usize),
) -> Result<Chart<'a, 'b>, TrainError> {
    let axis = |range, labels, name, space| Axis {
        range,
        labels,
        name,
        format: percent,
        space,
    };
    let axes = [axis(0.0..1.0, 6, x.0, x.1), axis(0.0..y.1, y.2, y.0, 90)];
    chart(area, None, axes)
}

#[allow(clippy::cast_precision_loss)]
fn accuracies(area: &Area<'_>, subject: &Subject<'_>, bins: &[Bin]) -> Result<(), TrainError> {
    let mut chart = frame(area, ("", 30), ("right", 1.0, 6))?;
    let temperature = subject.manifest.temperature();
    let answers = match subject.uncalibrated {
        Some(_) => format!("as answered (temperature {temperature:.3})"),
        None => "as answered".to_owned(),
    };
    let color = BLUE.mix(0.75).filled();
    let right = |bin: &Bin| bin.right as f64 / bin.rows as f64;
    let series = chart.draw_series(bars(bins, right, color)).map_err(failed)?;
    series
        .label(answers)
        .legend(move |(x, y)| Rectangle::new([(x, y - 7), (x + 26, y + 7)], color));
    if let Some(rows) = subject.uncalibrated {
        let found = reliability(rows);
        let points = filled(&found).map(|(_, _, bin)| (bin.confidence / bin.rows as f64, right(bin)));
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
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}

/// The share of rows in each bin.
#[allow(clippy::cast_precision_loss)]
fn shares(area: &Area<'_>, bins: &[Bin]) -> Result<(), TrainError> {
    let rows: u64 = bins.iter().map(|b| b.rows).sum();
    let share = |bin: &Bin| bin.rows as f64 / rows.max(1) as f64;
    // Up to the next 10 %.
    let most = bins.iter().map(share).fold(0.0, f64::max);
    let top = ((10.0 * most).ceil() / 10.0).clamp(0.1, 1.0);
    let name = "probability of the likeliest label";
    let mut chart = frame(area, (name, 58), ("rows", top, 4))?;
    let bars = bars(bins, share, SOFT.mix(0.55).filled());
    chart.draw_series(bars).map_err(failed)?;
    Ok(())
}
