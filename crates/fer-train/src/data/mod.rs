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
    fmt,
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

pub(crate) use dataset::{Dataset, Split, class_counts_line};
pub(crate) use load::{load, load_set, load_split};
pub(crate) use predictions::write_predictions;

use crate::error::DataError;
use fer_engine::emotion::Emotion;
use fer_image::Face;
use lines::{Line, Lines};
use row::{CsvLayout, LAYOUTS, Splitter};

/// How many messages of skipped rows are kept; the rest are only counted.
const KEPT_MESSAGES: usize = 5;
const READ_BUFFER: usize = 256 * 1024;
const LINE_TOO_LONG: &str = "the line is longer than 1 MiB, which no row is; line ends may be missing";

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

impl Usage {
    pub(crate) const ALL: [Usage; 3] = [Usage::Training, Usage::PublicTest, Usage::PrivateTest];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Usage::Training => "Training",
            Usage::PublicTest => "PublicTest",
            Usage::PrivateTest => "PrivateTest",
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One row of a file.
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

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Skip and count a bad row instead of stopping there. A file that cannot be read or has an unknown
    /// header stops the run in either case.
    pub(crate) skip_bad_rows: bool,
}

/// The bad rows that were skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) count: u64,
    /// What is wrong with the first few, each with file and line.
    pub(crate) first: Vec<String>,
}

impl Skipped {
    fn add(&mut self, error: &DataError) {
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
    options: Options,
    skipped: Skipped,
    done: bool,
}

impl Reader {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path, options: Options) -> Result<Self, DataError> {
        let cannot_open = |e| DataError::File(format!("cannot open {}: {e}", path.display()));
        let file = File::open(path).map_err(cannot_open)?;
        if file.metadata().map_err(cannot_open)?.is_dir() {
            let path = path.display();
            return Err(DataError::File(format!(
                "{path} is a folder; a CSV file is expected"
            )));
        }
        Self::from_read(path, file, options)
    }

    /// Reads rows from any input; `path` is its name in messages.
    pub(crate) fn from_read(
        path: impl Into<PathBuf>,
        input: impl Read + Send + 'static,
        options: Options,
    ) -> Result<Self, DataError> {
        let path = path.into();
        let mut lines = Lines::new(Box::new(BufReader::with_capacity(READ_BUFFER, input)));
        let mut splitter = Splitter::default();
        let layout = loop {
            let parsed = match lines.next().map_err(|e| reading_failed(&path, &lines, &e))? {
                None => {
                    let empty = format!("the file is empty; a header line is expected: {LAYOUTS}");
                    return Err(DataError::file(&path, empty));
                }
                Some(Line::Whole) if lines.is_blank() => continue,
                Some(Line::Whole) => CsvLayout::from_header(lines.bytes(), &mut splitter),
                Some(Line::TooLong) => Err(LINE_TOO_LONG.to_owned()),
            };
            break parsed.map_err(|reason| {
                let line = lines.number();
                DataError::file(&path, format!("line {line}: {reason}; known headers: {LAYOUTS}"))
            })?;
        };
        Ok(Self {
            path,
            lines,
            splitter,
            layout,
            options,
            skipped: Skipped::default(),
            done: false,
        })
    }

    /// Reads the pixels only: the other columns are ignored, and rows have neither label nor usage.
    pub(crate) fn pixels_only(mut self) -> Self {
        self.layout = self.layout.pixels_only();
        self
    }

    /// The file's name in messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether rows have a label.
    pub(crate) fn has_labels(&self) -> bool {
        self.layout.has_labels()
    }

    /// Whether rows have a [`Usage`].
    pub(crate) fn has_usage(&self) -> bool {
        self.layout.has_usage()
    }

    /// The bad rows skipped so far; none unless [`Options::skip_bad_rows`] is set.
    pub(crate) fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The next row, good or bad; `None` at the end of the file.
    fn next_row(&mut self) -> Option<Result<Row, DataError>> {
        loop {
            let parsed = match self.lines.next() {
                Err(e) => return Some(Err(reading_failed(&self.path, &self.lines, &e))),
                Ok(None) => return None,
                Ok(Some(Line::Whole)) if self.lines.is_blank() => continue,
                Ok(Some(Line::Whole)) => {
                    self.layout
                        .row(self.lines.bytes(), self.lines.terminated(), &mut self.splitter)
                }
                Ok(Some(Line::TooLong)) => Err(LINE_TOO_LONG.to_owned()),
            };
            let line = self.lines.number();
            return Some(match parsed {
                Ok(row::Parsed { label, usage, face }) => Ok(Row {
                    line,
                    label,
                    usage,
                    face,
                }),
                Err(reason) => Err(DataError::Row {
                    path: self.path.clone(),
                    line,
                    reason,
                }),
            });
        }
    }
}

fn reading_failed(path: &Path, lines: &Lines, error: &std::io::Error) -> DataError {
    let line = lines.number();
    DataError::file(path, format!("reading failed after line {line}: {error}"))
}

/// `1 row`, `2 rows`.
fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

impl Iterator for Reader {
    type Item = Result<Row, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.next_row() {
                None => self.done = true,
                Some(Err(error @ DataError::Row { .. })) if self.options.skip_bad_rows => {
                    self.skipped.add(&error);
                }
                Some(result) => {
                    self.done |= result.is_err();
                    return Some(result);
                }
            }
        }
        None
    }
}
