//! FER2013's CSV files, read row by row: [`Reader`] streams [`Row`]s, [`Dataset`] keeps labelled faces.
//!
//! Four layouts, told apart by their header (names trimmed, any order, any case):
//! `emotion,pixels` (train.csv), `pixels` (test.csv), `emotion,pixels,Usage` (fer2013.csv) and
//! `emotion, Usage, pixels` (icml_face_data.csv). `emotion` is 0–6 in the order of [`Emotion::ALL`];
//! `pixels` is 2,304 numbers 0–255 between blanks, row by row from the top left.
//!
//! One line is one row: no field of these layouts holds a line break, so a quote that is never closed
//! spoils its own line and not what follows it. LF, CRLF and CR end a line; a UTF-8 byte-order mark and
//! blank lines are skipped. (The crate `csv` would read an open quote on into the following lines.)

mod dataset;
mod lines;
mod load;
mod predictions;
mod row;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

pub(crate) use dataset::{Dataset, Split, class_counts_line};
pub(crate) use load::{load, load_set, load_split};
pub(crate) use predictions::write_predictions;

use crate::error::TrainError;
use fer_engine::emotion::Emotion;
use fer_image::Face;
use lines::Lines;
use row::{CsvLayout, LAYOUTS, Splitter};

/// How many messages of skipped rows are kept; the rest are only counted.
const KEPT_MESSAGES: usize = 5;
const READ_BUFFER: usize = 256 * 1024;

/// Which of the challenge's three sets a row belongs to: the `Usage` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum Usage {
    /// 28,709 rows
    Training,
    /// 3,589 rows
    PublicTest,
    /// 3,589 rows
    PrivateTest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Line in the file, from 1 (the header's).
    pub(crate) line: u64,
    /// `None` where the file has no `emotion` column.
    pub(crate) label: Option<Emotion>,
    /// `None` where the file has no `Usage` column.
    pub(crate) usage: Option<Usage>,
    pub(crate) face: Face,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) count: u64,
    /// What is wrong with the first few, each with file and line.
    pub(crate) first: Vec<String>,
}

impl Skipped {
    fn add(&mut self, error: &TrainError) {
        self.count += 1;
        if self.first.len() < KEPT_MESSAGES {
            self.first.push(error.to_string());
        }
    }
}

/// Reads a file row by row; memory does not grow with the file.
///
/// After an error it yields nothing more.
pub(crate) struct Reader {
    path: PathBuf,
    lines: Lines,
    splitter: Splitter,
    layout: CsvLayout,
    /// Skip and count a bad row instead of stopping there. A file that cannot be read or has an unknown
    /// header stops the run in either case.
    skip_bad_rows: bool,
    pub(crate) skipped: Skipped,
    done: bool,
}

impl Reader {
    pub(crate) fn open(path: &Path, skip_bad_rows: bool) -> Result<Self, TrainError> {
        let cannot_open = |e| TrainError::Usage(format!("cannot open {}: {e}", path.display()));
        let file = File::open(path).map_err(cannot_open)?;
        if file.metadata().map_err(cannot_open)?.is_dir() {
            let path = path.display();
            return Err(TrainError::Usage(format!(
                "{path} is a folder; a CSV file is expected"
            )));
        }
        Self::from_read(path, file, skip_bad_rows)
    }

    /// Reads rows from any input; `path` is its name in messages.
    pub(crate) fn from_read(
        path: impl Into<PathBuf>,
        input: impl Read + Send + 'static,
        skip_bad_rows: bool,
    ) -> Result<Self, TrainError> {
        let path = path.into();
        let mut lines = Lines::new(Box::new(BufReader::with_capacity(READ_BUFFER, input)));
        let mut splitter = Splitter::default();
        let invalid = TrainError::invalid(&path);
        if !lines.next().map_err(|e| reading_failed(&path, &lines, &e))? {
            return Err(invalid(format!(
                "the file is empty; a header line is expected: {LAYOUTS}"
            )));
        }
        let layout = CsvLayout::from_header(&lines, &mut splitter).map_err(|reason| {
            let line = lines.number;
            invalid(format!("line {line}: {reason}; known headers: {LAYOUTS}"))
        })?;
        Ok(Self {
            path,
            lines,
            splitter,
            layout,
            skip_bad_rows,
            skipped: Skipped::default(),
            done: false,
        })
    }

    pub(crate) fn has_labels(&self) -> bool {
        self.layout.emotion.is_some()
    }

    pub(crate) fn has_usage(&self) -> bool {
        self.layout.usage.is_some()
    }

    fn next_row(&mut self) -> Result<Option<Row>, TrainError> {
        match self.lines.next() {
            Err(e) => Err(reading_failed(&self.path, &self.lines, &e)),
            Ok(false) => Ok(None),
            Ok(true) => match self.layout.row(&self.lines, &mut self.splitter) {
                Ok(row) => Ok(Some(row)),
                Err(reason) => Err(TrainError::Row {
                    path: self.path.clone(),
                    line: self.lines.number,
                    reason,
                }),
            },
        }
    }
}

fn reading_failed(path: &Path, lines: &Lines, error: &std::io::Error) -> TrainError {
    let line = lines.number;
    TrainError::invalid(path)(format!("reading failed after line {line}: {error}"))
}

/// `1 row`, `2 rows`.
fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

impl Iterator for Reader {
    type Item = Result<Row, TrainError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.next_row() {
                Err(error @ TrainError::Row { .. }) if self.skip_bad_rows => self.skipped.add(&error),
                result => {
                    self.done = !matches!(result, Ok(Some(_)));
                    return result.transpose();
                }
            }
        }
        None
    }
}
