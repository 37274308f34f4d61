//! The confusion matrix: rows true, columns predicted, coloured by the share of the row.

use plotters::style::{RGBColor, WHITE};

use super::pen::{Align, INK, Pen, SOFT, Type, name, picture};
use crate::{TrainError, evaluate::Scores};
use fer_engine::emotion::Emotion;

const CELL: (f64, f64) = (104.0, 78.0);
const CORNER: (f64, f64) = (150.0, 104.0);

pub(super) fn draw(scores: &Scores) -> Result<Vec<u8>, TrainError> {
    picture(900, 690, |pen| matrix(pen, scores))
}

#[allow(clippy::cast_precision_loss)]
fn matrix(pen: &Pen<'_>, scores: &Scores) -> Result<(), TrainError> {
    let title = format!(
        "Confusion: accuracy {:.1} %, macro-F1 {:.3}",
        100.0 * scores.accuracy,
        scores.macro_f1
    );
    pen.text(&title, (CORNER.0, 28.0), Type::new(22.0, INK, Align::Left).bold())?;
    let centre = |i: usize, corner: f64, cell: f64| corner + (i as f64 + 0.5) * cell;
    let labels = Type::new(17.0, INK, Align::Centre);
    for emotion in Emotion::ALL {
        let i = emotion.index();
        pen.text(
            &name(emotion),
            (centre(i, CORNER.0, CELL.0), CORNER.1 - 18.0),
            labels,
        )?;
        let right = Type {
            align: Align::Right,
            ..labels
        };
        pen.text(
            &name(emotion),
            (CORNER.0 - 12.0, centre(i, CORNER.1, CELL.1)),
            right,
        )?;
    }
    for (row, counts) in scores.confusion.iter().enumerate() {
        let all: u64 = counts.iter().sum();
        for (column, &count) in counts.iter().enumerate() {
            let share = if all == 0 { 0.0 } else { count as f64 / all as f64 };
            let from = (CORNER.0 + column as f64 * CELL.0, CORNER.1 + row as f64 * CELL.1);
            pen.fill(from, (from.0 + CELL.0, from.1 + CELL.1), shade(share))?;
            let color = if share > 0.45 { WHITE } else { INK };
            let at = (centre(column, CORNER.0, CELL.0), centre(row, CORNER.1, CELL.1));
            let mut percent = Type::new(20.0, color, Align::Centre);
            percent.bold = row == column;
            pen.text(&format!("{:.0} %", 100.0 * share), (at.0, at.1 - 10.0), percent)?;
            // Gray is too weak on the darker half of the scale.
            let color = if share > 0.2 { color } else { SOFT };
            let soft = Type::new(14.0, color, Align::Centre);
            pen.text(&count.to_string(), (at.0, at.1 + 16.0), soft)?;
        }
    }
    // White lines between the cells, and a frame around all.
    let end = (CORNER.0 + 7.0 * CELL.0, CORNER.1 + 7.0 * CELL.1);
    for i in 1..7 {
        let (x, y) = (CORNER.0 + f64::from(i) * CELL.0, CORNER.1 + f64::from(i) * CELL.1);
        pen.line(&[(x, CORNER.1), (x, end.1)], 1.5, WHITE)?;
        pen.line(&[(CORNER.0, y), (end.0, y)], 1.5, WHITE)?;
    }
    pen.frame(CORNER, end, SOFT)?;
    let soft = Type::new(16.0, SOFT, Align::Centre);
    pen.text("predicted", (f64::midpoint(CORNER.0, end.0), 62.0), soft)?;
    pen.text_up("true", (26.0, f64::midpoint(CORNER.1, end.1)), soft)
}

/// White to dark blue, one hue: lightness alone carries the share.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn shade(share: f64) -> RGBColor {
    let between = |from: f64, to: f64| (from + (to - from) * share.clamp(0.0, 1.0).powf(0.8)) as u8;
    RGBColor(between(247.0, 8.0), between(250.0, 48.0), between(253.0, 107.0))
}
