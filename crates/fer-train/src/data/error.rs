//! What can be wrong with a file, and with a row of it, in the words the user reads.

use std::{io, path::PathBuf};

use super::{Skipped, Usage, row::LAYOUTS};
use fer_image::PIXELS;

/// Why a file cannot be used. The text names the file, the line if there is one, and the reason.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be opened.
    #[error("cannot open {}: {source}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is a folder.
    #[error("{} is a folder; a CSV file is wanted", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// Reading it failed.
    #[error("{}: reading failed after line {line}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The last line that was read whole.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("{}: the file is empty; a header line is wanted: {LAYOUTS}", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Its header is none of the known ones.
    #[error("{}: line {line}: {reason}; known headers: {LAYOUTS}", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The header's line.
        line: u64,
        /// What is wrong, with the header that was found.
        reason: String,
    },
    /// A row is bad.
    #[error("{}: line {line}: {reason}", .path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row's line, from 1 (the header's).
        line: u64,
        /// What is wrong.
        reason: BadRow,
    },
    /// It lacks a column that is needed here.
    #[error("{}: the file has no `{column}` column, which is needed here", .path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: &'static str,
    },
    /// No row is left to work on.
    #[error("{}: {}", .path.display(), no_rows(*.usage, .skipped))]
    NoRows {
        /// The file.
        path: PathBuf,
        /// The set that was asked for.
        usage: Option<Usage>,
        /// The bad rows that were left out.
        skipped: Skipped,
    },
    /// Too few rows to hold some of them out.
    #[error(
        "{}: too few rows ({rows}, or their faces are there twice) to hold one in {parts} out for validation; name a validation file",
        .path.display()
    )]
    TooFew {
        /// The file.
        path: PathBuf,
        /// Its rows.
        rows: usize,
        /// One in so many was to be held out.
        parts: usize,
    },
    /// The predictions cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The predictions would overwrite the rows they are made from.
    #[error("{} is the file that is read; another name is wanted for the predictions", .path.display())]
    SameFile {
        /// The file.
        path: PathBuf,
    },
    /// The classifier did not answer for every row.
    #[error("{}: {} came for {}", .path.display(), counted(*.answers as u64, "answer"), counted(*.rows as u64, "row"))]
    Answers {
        /// The file.
        path: PathBuf,
        /// Rows asked about.
        rows: usize,
        /// Answers that came.
        answers: usize,
    },
}

/// `1 row`, `2 rows`.
fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn no_rows(usage: Option<Usage>, skipped: &Skipped) -> String {
    let mut text = match usage {
        Some(usage) => format!("the file has no rows with Usage {usage}"),
        None if skipped.count > 0 => "the file has no good rows".to_owned(),
        None => "the file has a header but no rows".to_owned(),
    };
    if let Some(first) = skipped.first.first() {
        text.push_str(&format!(
            "; {} skipped, the first: {first}",
            counted(skipped.count, "bad row")
        ));
    }
    text
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// A NUL byte: not text, or a damaged file.
    #[error("a NUL byte at byte {at} of the line; the file is damaged or is not text")]
    Nul {
        /// Where in the line, from 1.
        at: usize,
    },
    /// Not UTF-8.
    #[error("byte 0x{byte:02X} at byte {at} of the line is not UTF-8")]
    NotUtf8 {
        /// The first byte that is wrong.
        byte: u8,
        /// Where in the line, from 1.
        at: usize,
    },
    /// Far longer than a row can be.
    #[error("the line is longer than 1 MiB, which no row is; line ends may be missing")]
    LineTooLong,
    /// A quote that is not closed, in the middle of the file.
    #[error("the line ends inside the quotes of {0}: the closing quote is missing")]
    OpenQuote(String),
    /// A quote that is not closed at the end of the file.
    #[error("the file ends inside the quotes of {0}: its last row is cut off")]
    CutInQuote(String),
    /// Not as many columns as the header has.
    #[error("{}; the header has {wanted}", counted(*.found as u64, "column"))]
    Columns {
        /// The row's.
        found: usize,
        /// The header's.
        wanted: usize,
    },
    /// No label.
    #[error("the label is empty; 0–6 is wanted")]
    LabelEmpty,
    /// A whole number that is no label.
    #[error("label {0} is outside 0–6 (0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral)")]
    LabelRange(String),
    /// Not a number.
    #[error("label '{0}' is not a whole number; 0–6 is wanted")]
    LabelText(String),
    /// A set that there is not.
    #[error("Usage '{0}' is not known; Training, PublicTest or PrivateTest is wanted")]
    Usage(String),
    /// A whole number that is no pixel.
    #[error("value {value} at position {position} is outside 0–255")]
    PixelRange {
        /// As it stands in the file.
        value: String,
        /// Which of the row's values, from 1.
        position: usize,
    },
    /// Not a number.
    #[error("'{value}' at position {position} is not a whole number; 0–255 is wanted")]
    PixelText {
        /// As it stands in the file.
        value: String,
        /// Which of the row's values, from 1.
        position: usize,
    },
    /// Not as many pixels as a face has.
    #[error(
        "{}; {PIXELS} (48×48) are wanted{}",
        counted(*.found as u64, "value"),
        if *.cut { " (the file ends here without a line end: its last row may be cut off)" } else { "" }
    )]
    PixelCount {
        /// How many there are.
        found: usize,
        /// Whether there are too few and the file ends here without a line end.
        cut: bool,
    },
}
