//! Shapes and text on a picture, in pixels from the upper left corner.

use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::png::PngEncoder, imageops};
use plotters::{
    backend::BitMapBackend,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Circle, PathElement, Rectangle, Text},
    style::{
        Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor, ShapeStyle, WHITE, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::TrainError;
use fer_engine::emotion::Emotion;

/// Text and frames.
pub(super) const INK: RGBColor = RGBColor(33, 37, 41);
/// What explains and does not matter at first sight.
pub(super) const SOFT: RGBColor = RGBColor(98, 105, 112);
/// Lines behind the data.
pub(super) const GRID: RGBColor = RGBColor(226, 229, 232);
/// Of the palette of Okabe and Ito, which people with any kind of colour vision can tell apart.
pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
/// The same palette's.
pub(super) const VERMILION: RGBColor = RGBColor(213, 94, 0);
/// The same palette's.
pub(super) const GREEN: RGBColor = RGBColor(0, 158, 115);

/// Pictures are drawn at twice their size and then halved: that smooths every edge.
const FINE: f64 = 2.0;
/// Name under which the font is registered.
const FONT: &str = "sans";

/// Where text stands to its point; vertically it is always centred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// How text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) color: RGBColor,
    pub(super) align: Align,
}

impl Type {
    pub(super) const fn new(size: f64, color: RGBColor, align: Align) -> Self {
        Self {
            size,
            bold: false,
            color,
            align,
        }
    }

    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }
}

/// Draws on one picture.
pub(super) struct Pen<'a> {
    area: DrawingArea<BitMapBackend<'a>, Shift>,
}

/// A white picture of that size, drawn on by `draw`, as PNG.
///
/// # Errors
/// [`TrainError::Draw`].
pub(super) fn picture(
    width: u32,
    height: u32,
    draw: impl FnOnce(&Pen<'_>) -> Result<(), TrainError>,
) -> Result<Vec<u8>, TrainError> {
    for (style, bytes) in [
        (FontStyle::Normal, dejavu::sans::regular()),
        (FontStyle::Bold, dejavu::sans::bold()),
    ] {
        register_font(FONT, style, bytes)
            .map_err(|_| TrainError::Draw("the font cannot be read".to_owned()))?;
    }
    let fine = (2 * width, 2 * height);
    let mut pixels = RgbImage::new(fine.0, fine.1);
    {
        let pen = Pen {
            area: BitMapBackend::with_buffer(&mut pixels, fine).into_drawing_area(),
        };
        pen.area.fill(&WHITE).map_err(failed)?;
        draw(&pen)?;
        pen.area.present().map_err(failed)?;
    }
    let pixels = imageops::thumbnail(&pixels, width, height);
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(failed)?;
    Ok(png)
}

fn failed(e: impl std::fmt::Display) -> TrainError {
    TrainError::Draw(e.to_string())
}

#[allow(clippy::cast_possible_truncation)]
fn fine((x, y): (f64, f64)) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

impl Pen<'_> {
    /// A filled rectangle between two corners.
    pub(super) fn fill(&self, from: (f64, f64), to: (f64, f64), color: impl Color) -> Result<(), TrainError> {
        let shape = Rectangle::new([fine(from), fine(to)], color.filled());
        self.area.draw(&shape).map_err(failed)
    }

    /// A rectangle's outline.
    pub(super) fn frame(&self, from: (f64, f64), to: (f64, f64), color: RGBColor) -> Result<(), TrainError> {
        let corners = [from, (to.0, from.1), to, (from.0, to.1), from];
        self.line(&corners, 1.0, color)
    }

    /// A line through points.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn line(
        &self,
        points: &[(f64, f64)],
        width: f64,
        color: impl Color,
    ) -> Result<(), TrainError> {
        let points: Vec<_> = points.iter().map(|p| fine(*p)).collect();
        let style = color.stroke_width((width * FINE).round() as u32);
        self.area.draw(&PathElement::new(points, style)).map_err(failed)
    }

    /// A line of dashes between two points.
    pub(super) fn dashes(
        &self,
        from: (f64, f64),
        to: (f64, f64),
        width: f64,
        color: RGBColor,
    ) -> Result<(), TrainError> {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |d: f64| {
            let share = (d / length).min(1.0);
            (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
        };
        let mut done = 0.0;
        while done < length {
            self.line(&[at(done), at(done + 6.0)], width, color)?;
            done += 11.0;
        }
        Ok(())
    }

    /// A disc.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn dot(&self, centre: (f64, f64), radius: f64, color: RGBColor) -> Result<(), TrainError> {
        let radius = (radius * FINE).round() as i32;
        let style = ShapeStyle::from(&color).filled();
        self.area
            .draw(&Circle::new(fine(centre), radius, style))
            .map_err(failed)
    }

    /// Text, vertically centred on its point.
    pub(super) fn text(&self, text: &str, at: (f64, f64), how: Type) -> Result<(), TrainError> {
        // The rasteriser puts the baseline half a size below the point; small letters then are a fifth too high.
        self.write(text, (at.0, at.1 - 0.2 * how.size), how, FontTransform::None)
    }

    /// Text that runs upwards, centred on its point across its line.
    pub(super) fn text_up(&self, text: &str, at: (f64, f64), how: Type) -> Result<(), TrainError> {
        self.write(text, (at.0 - 0.2 * how.size, at.1), how, FontTransform::Rotate270)
    }

    fn write(
        &self,
        text: &str,
        at: (f64, f64),
        how: Type,
        transform: FontTransform,
    ) -> Result<(), TrainError> {
        let horizontal = match how.align {
            Align::Left => HPos::Left,
            Align::Centre => HPos::Center,
            Align::Right => HPos::Right,
        };
        let style = if how.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        // Not `into_font().style(…)`: that keeps the face it was made with.
        let font = FontDesc::new(FontFamily::Name(FONT), how.size * FINE, style).transform(transform);
        let style = plotters::style::TextStyle::from(font)
            .color(&how.color)
            .pos(Pos::new(horizontal, VPos::Top));
        self.area
            .draw(&Text::new(text.to_owned(), fine(at), style))
            .map_err(failed)
    }
}

/// A label as it is shown.
pub(super) fn name(emotion: Emotion) -> String {
    emotion.name().to_owned()
}
