//! The most confident mistakes, as a sheet of faces. It shows pictures of the data set.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use super::{Subject, draw::failed};
use crate::TrainError;
use fer_engine::emotion::Emotion;
use fer_image::SIDE;

const COLUMNS: usize = 6;
const ROWS: usize = 4;
/// Side of a face on the sheet, pixels.
const FACE: usize = 144;
const CELL: (usize, usize) = (190, 226);
const TOP: usize = 92;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mistake {
    /// Row of the data, from 0.
    pub(super) row: usize,
    pub(super) truth: Emotion,
    pub(super) predicted: Emotion,
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

/// `None` if nothing was wrong. Written by hand: plotters' SVG has no images.
pub(super) fn draw(subject: &Subject<'_>) -> Result<Option<String>, TrainError> {
    let wrong = worst(subject, COLUMNS * ROWS);
    if wrong.is_empty() {
        return Ok(None);
    }
    let (width, height) = (COLUMNS * CELL.0, TOP + wrong.len().div_ceil(COLUMNS) * CELL.1);
    let mut svg = String::new();
    // Writing to a String does not fail.
    let _ = write!(
        svg,
        r##"<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="16">
<rect width="{width}" height="{height}" fill="#FFFFFF"/>
<text x="20" y="34" font-size="22" font-weight="bold" fill="#212529">The most confident mistakes</text>
<text x="20" y="66" fill="#626970">black: the label in the data set; orange: the answer and its probability; number: the row</text>
"##
    );
    for (i, mistake) in wrong.iter().enumerate() {
        let (x, y) = (20 + i % COLUMNS * CELL.0, TOP + i / COLUMNS * CELL.1);
        let (side, below) = (SIDE as u32, y + FACE);
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(
                &subject.data.faces[mistake.row],
                side,
                side,
                ExtendedColorType::L8,
            )
            .map_err(failed)?;
        let _ = write!(
            svg,
            r##"<image x="{x}" y="{y}" width="{FACE}" height="{FACE}" style="image-rendering:pixelated" href="data:image/png;base64,{}"/>
<text x="{x}" y="{}" font-weight="bold" fill="#212529">{}</text>
<text x="{x}" y="{}" fill="#D55E00">{} {:.1} %</text>
<text x="{}" y="{}" font-size="13" text-anchor="end" fill="#626970">{}</text>
"##,
            STANDARD.encode(&png),
            below + 22,
            mistake.truth,
            below + 43,
            mistake.predicted,
            100.0 * mistake.confidence,
            x + FACE,
            below + 22,
            mistake.row + 1
        );
    }
    svg.push_str("</svg>\n");
    Ok(Some(svg))
}
