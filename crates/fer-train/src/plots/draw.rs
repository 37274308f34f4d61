//! What the diagrams share: colours, text and legends. plotters draws them as SVG, whose text needs no font here.

use std::ops::Range;

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::TrainError;

pub(super) const INK: RGBColor = RGBColor(33, 37, 41);
pub(super) const SOFT: RGBColor = RGBColor(98, 105, 112);
/// Lines behind the data.
const GRID: RGBColor = RGBColor(226, 229, 232);
// Of the palette of Okabe and Ito, which people with any kind of colour vision can tell apart.
pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(super) const VERMILION: RGBColor = RGBColor(213, 94, 0);
pub(super) const GREEN: RGBColor = RGBColor(0, 158, 115);

/// Sizes of text. plotters writes them divided by 1.24.
pub(super) const TEXT: u32 = 20;
pub(super) const SMALL: u32 = 17;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A white image of that size in pixels as SVG: a title, and below it what `draw` draws.
pub(super) fn image(
    size: (u32, u32),
    title: String,
    draw: impl FnOnce(&Area<'_>) -> Result<(), TrainError>,
) -> Result<String, TrainError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let (head, body) = area.split_vertically(60);
        write(&head, title, (20, 26), HPos::Left, &bold(28, INK))?;
        draw(&body)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

pub(super) fn failed(e: impl std::fmt::Display) -> TrainError {
    TrainError::Draw(e.to_string())
}

pub(super) fn text(size: u32, color: RGBColor) -> TextStyle<'static> {
    let mut style = TextStyle::from(("sans-serif", size));
    style.color = color.to_backend_color();
    style
}

pub(super) fn bold(size: u32, color: RGBColor) -> TextStyle<'static> {
    let mut style = TextStyle::from(("sans-serif", size, FontStyle::Bold));
    style.color = color.to_backend_color();
    style
}

/// Writes text that starts at a point, or has it in its middle; vertically the point is always its middle.
pub(super) fn write(
    area: &Area<'_>,
    words: impl Into<String>,
    at: (i32, i32),
    horizontal: HPos,
    style: &TextStyle<'_>,
) -> Result<(), TrainError> {
    let style = style.pos(Pos::new(horizontal, VPos::Center));
    area.draw(&Text::new(words.into(), at, style)).map_err(failed)
}

pub(super) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

pub(super) struct Axis {
    pub(super) range: Range<f64>,
    /// The number of labels, at most.
    pub(super) labels: usize,
    /// What it shows; may be empty.
    pub(super) name: &'static str,
    pub(super) format: fn(&f64) -> String,
    /// Space for labels and name, pixels.
    pub(super) space: u32,
}

/// A frame with a grid, labels and an optional caption.
pub(super) fn chart<'a, 'b>(
    area: &'a Area<'b>,
    caption: Option<String>,
    [x, y]: [Axis; 2],
) -> Result<Chart<'a, 'b>, TrainError> {
    let mut builder = ChartBuilder::on(area);
    if let Some(caption) = caption {
        builder.caption(caption, text(TEXT, INK));
    }
    let mut chart = builder
        .margin(14)
        // The last label reaches past the frame.
        .margin_right(30)
        .x_label_area_size(x.space)
        .y_label_area_size(y.space)
        .build_cartesian_2d(x.range, y.range)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(GRID)
        .axis_style(SOFT)
        .x_labels(x.labels)
        .y_labels(y.labels)
        .x_desc(x.name)
        .y_desc(y.name)
        .x_label_formatter(&x.format)
        .y_label_formatter(&y.format)
        .axis_desc_style(text(TEXT, SOFT))
        .label_style(text(SMALL, INK))
        .draw()
        .map_err(failed)?;
    Ok(chart)
}

/// The legend of the series that have a label.
pub(super) fn legend<'a, 'b: 'a>(
    chart: &mut Chart<'a, 'b>,
    position: SeriesLabelPosition,
) -> Result<(), TrainError> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.85))
        .label_font(text(SMALL, INK))
        .draw()
        .map_err(failed)
}

/// For a legend: a piece of a line.
pub(super) fn stroke((x, y): (i32, i32), color: RGBColor) -> PathElement<(i32, i32)> {
    PathElement::new(vec![(x, y), (x + 26, y)], color.stroke_width(3))
}

/// `0.2` → `20 %`.
pub(super) fn percent(share: &f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
