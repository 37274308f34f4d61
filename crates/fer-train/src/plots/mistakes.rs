//! The most confident mistakes, as a sheet of faces. It shows pictures of the data set.

use plotters::style::RGBColor;

use super::{
    Subject,
    pen::{Align, INK, Pen, SOFT, Type, VERMILION, name, picture},
};
use crate::TrainError;
use fer_engine::emotion::Emotion;
use fer_image::SIDE;

const COLUMNS: usize = 6;
const ROWS: usize = 4;
/// Pixels of the sheet for one of a face.
const ZOOM: f64 = 3.0;
const CELL: (f64, f64) = (190.0, 226.0);
const MARGIN: (f64, f64) = (24.0, 92.0);

/// A wrong answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mistake {
    /// Row of the data, from 0.
    pub(super) row: usize,
    /// The label it has.
    pub(super) truth: Emotion,
    /// The label it was given.
    pub(super) predicted: Emotion,
    /// With that probability.
    pub(super) confidence: f32,
}

/// The wrong answers with the highest probability, the surest first; of equals the earlier row.
pub(super) fn worst(subject: &Subject<'_>, count: usize) -> Vec<Mistake> {
    let mut wrong: Vec<Mistake> = subject
        .predictions
        .iter()
        .enumerate()
        .filter_map(|(row, (truth, p))| {
            let (predicted, confidence) = p.top();
            (predicted != *truth).then_some(Mistake {
                row,
                truth: *truth,
                predicted,
                confidence,
            })
        })
        .collect();
    wrong.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    wrong.truncate(count);
    wrong
}

/// `None` if nothing was wrong.
pub(super) fn draw(subject: &Subject<'_>) -> Result<Option<Vec<u8>>, TrainError> {
    let wrong = worst(subject, COLUMNS * ROWS);
    if wrong.is_empty() {
        return Ok(None);
    }
    let rows = wrong.len().div_ceil(COLUMNS) as u32;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let size = (
        (2.0 * MARGIN.0 + COLUMNS as f64 * CELL.0) as u32,
        (MARGIN.1 + f64::from(rows) * CELL.1 + 10.0) as u32,
    );
    picture(size.0, size.1, |pen| sheet(pen, subject, &wrong)).map(Some)
}

#[allow(clippy::cast_precision_loss)]
fn sheet(pen: &Pen<'_>, subject: &Subject<'_>, wrong: &[Mistake]) -> Result<(), TrainError> {
    let left = MARGIN.0 + 23.0;
    let bold = Type::new(22.0, INK, Align::Left).bold();
    pen.text("The most confident mistakes", (left, 28.0), bold)?;
    let how =
        "black: the label in the data set; orange: what was answered, with its probability; number: the row";
    pen.text(how, (left, 60.0), Type::new(16.0, SOFT, Align::Left))?;
    for (i, mistake) in wrong.iter().enumerate() {
        let corner = (
            MARGIN.0 + (i % COLUMNS) as f64 * CELL.0 + 23.0,
            MARGIN.1 + (i / COLUMNS) as f64 * CELL.1,
        );
        for (at, &p) in subject.data.face(mistake.row).iter().enumerate() {
            let from = (
                corner.0 + ZOOM * (at % SIDE) as f64,
                corner.1 + ZOOM * (at / SIDE) as f64,
            );
            pen.fill(from, (from.0 + ZOOM, from.1 + ZOOM), RGBColor(p, p, p))?;
        }
        let side = ZOOM * SIDE as f64;
        pen.frame(corner, (corner.0 + side, corner.1 + side), SOFT)?;
        let below = corner.1 + side;
        let line = |size, color| Type::new(size, color, Align::Left);
        pen.text(
            &name(mistake.truth),
            (corner.0, below + 16.0),
            line(16.0, INK).bold(),
        )?;
        let answer = format!("{} {:.1} %", name(mistake.predicted), 100.0 * mistake.confidence);
        pen.text(&answer, (corner.0, below + 37.0), line(16.0, VERMILION))?;
        let row = format!("{}", mistake.row + 1);
        let right = Type::new(13.0, SOFT, Align::Right);
        pen.text(&row, (corner.0 + side, below + 16.0), right)?;
    }
    Ok(())
}
