//! The confusion matrix: rows true, columns predicted, coloured by the share of the row.

use plotters::{prelude::*, style::text_anchor::HPos};

use super::draw::{Area, INK, SMALL, SOFT, TEXT, bold, failed, image, text, write};
use crate::TrainError;
use fer_engine::{emotion::Emotion, folder::ScoreReport};

/// A grid of 8×8 cells, whose first row and column hold the labels.
const CELLS: usize = Emotion::ALL.len() + 1;

pub(super) fn draw(report: &ScoreReport) -> Result<String, TrainError> {
    let title = format!(
        "Confusion: accuracy {:.1} %, macro-F1 {:.3}",
        100.0 * report.scores.accuracy,
        report.scores.macro_f1
    );
    image((960, 700), title, |area| matrix(area, report))
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_wrap)]
fn matrix(area: &Area<'_>, report: &ScoreReport) -> Result<(), TrainError> {
    let cells = area.split_evenly((CELLS, CELLS));
    let (width, height) = cells[0].dim_in_pixel();
    let (x, y) = (width as i32 / 2, height as i32 / 2);
    let axes = text(SMALL, SOFT);
    write(&cells[0], "true ↓", (x, y - 12), HPos::Center, &axes)?;
    write(&cells[0], "predicted →", (x, y + 12), HPos::Center, &axes)?;
    let label = text(TEXT, INK);
    for emotion in Emotion::ALL {
        let i = emotion.index() + 1;
        write(&cells[i], emotion.name(), (x, y), HPos::Center, &label)?;
        write(&cells[CELLS * i], emotion.name(), (x, y), HPos::Center, &label)?;
    }
    for (row, counts) in report.confusion.iter().enumerate() {
        let all: u64 = counts.iter().sum();
        for (column, count) in counts.iter().enumerate() {
            let share = *count as f64 / all.max(1) as f64;
            let cell = cells[CELLS * (row + 1) + column + 1].margin(1, 1, 1, 1);
            cell.fill(&shade(share)).map_err(failed)?;
            let color = if share > 0.45 { WHITE } else { INK };
            let weight = if row == column { bold } else { text };
            let large = weight(TEXT + 4, color);
            let percent = format!("{:.0} %", 100.0 * share);
            write(&cell, percent, (x, y - 11), HPos::Center, &large)?;
            // Gray has too little contrast on the darker half of the scale.
            let color = if share > 0.2 { color } else { SOFT };
            let small = text(SMALL, color);
            write(&cell, count.to_string(), (x, y + 15), HPos::Center, &small)?;
        }
    }
    Ok(())
}

/// White to dark blue, one hue: lightness alone carries the share.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn shade(share: f64) -> RGBColor {
    let between = |from: f64, to: f64| (from + (to - from) * share.clamp(0.0, 1.0).powf(0.8)) as u8;
    RGBColor(between(247.0, 8.0), between(250.0, 48.0), between(253.0, 107.0))
}
