//! FER2013's CSV files, read row by row: [`Reader`] streams [`Row`]s, [`Dataset`] keeps labelled faces.
//!
//! Four layouts, told apart by their header (names trimmed, any order, any case):
//! `emotion,pixels` (train.csv), `pixels` (test.csv), `emotion,pixels,Usage` (fer2013.csv) and
//! `emotion, Usage, pixels` (icml_face_data.csv). `emotion` is 0–6 in the order of [`Emotion::ALL`];
//! `pixels` is 2,304 numbers 0–255 between blanks, row by row from the top left.
//!
//! One line is one row: no field of these layouts holds a line break, so a quote that is never closed
//! spoils its own line and not what follows it. LF, CRLF and CR end a line, a UTF-8 byte-order mark and
//! blank lines are passed over.

mod dataset;
mod error;
mod lines;
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

pub use dataset::Dataset;
pub use error::{BadRow, DataError};
pub use predictions::write_predictions;

use fer_engine::emotion::Emotion;
use fer_image::Face;
use lines::{Line, Lines};
use row::{Layout, Splitter};

/// How many messages of skipped rows are kept; the rest are only counted.
const KEPT_MESSAGES: usize = 5;
/// Bytes asked of the file at a time.
const READ_BUFFER: usize = 256 * 1024;

/// Which of the challenge's three sets a row belongs to: the `Usage` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// 28,709 rows to train on.
    Training,
    /// 3,589 rows of the public leader board: the validation set.
    PublicTest,
    /// 3,589 rows of the final ranking: the test set.
    PrivateTest,
}

impl Usage {
    /// Every value, in the order of the file.
    pub const ALL: [Usage; 3] = [Usage::Training, Usage::PublicTest, Usage::PrivateTest];

    /// The value as it stands in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
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
pub struct Row {
    /// Its line in the file, from 1 (the header's).
    pub line: u64,
    /// Its label; `None` where the file has no `emotion` column.
    pub label: Option<Emotion>,
    /// Its set; `None` where the file has no `Usage` column.
    pub usage: Option<Usage>,
    /// Its picture.
    pub face: Face,
}

/// What to do with a file that is not as it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Go on after a bad row and count it, instead of stopping there. A file that cannot be read or whose
    /// header is unknown stops the run all the same.
    pub skip_bad_rows: bool,
}

/// The bad rows that were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// What was wrong with the first few, each with file and line.
    pub first: Vec<String>,
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
pub struct Reader {
    path: PathBuf,
    lines: Lines,
    splitter: Splitter,
    layout: Layout,
    options: Options,
    skipped: Skipped,
    done: bool,
}

impl Reader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`DataError`] if the file cannot be read, is empty or has an unknown header.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, DataError> {
        let path = path.as_ref();
        let open = |source| DataError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(open)?;
        if file.metadata().map_err(open)?.is_dir() {
            return Err(DataError::Folder {
                path: path.to_owned(),
            });
        }
        Self::from_read(path, file, options)
    }

    /// Reads rows from anything; `path` is the name that messages give it.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn from_read(
        path: impl Into<PathBuf>,
        input: impl Read + Send + 'static,
        options: Options,
    ) -> Result<Self, DataError> {
        let path = path.into();
        let mut lines = Lines::new(Box::new(BufReader::with_capacity(READ_BUFFER, input)));
        let mut splitter = Splitter::default();
        let layout = loop {
            let line = lines.next().map_err(|source| DataError::Read {
                path: path.clone(),
                line: lines.number(),
                source,
            })?;
            let header = |reason| DataError::Header {
                path: path.clone(),
                line: lines.number(),
                reason,
            };
            match line {
                None => return Err(DataError::Empty { path }),
                Some(Line::TooLong) => return Err(header(BadRow::LineTooLong.to_string())),
                Some(Line::Whole) if lines.is_blank() => {}
                Some(Line::Whole) => {
                    break Layout::from_header(lines.bytes(), &mut splitter).map_err(header)?;
                }
            }
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

    /// Reads the pixels only: rows then have neither label nor usage, and what stands in those columns is
    /// not looked at (a file whose `emotion` is still to be filled in, say).
    #[must_use]
    pub fn pixels_only(mut self) -> Self {
        self.layout = self.layout.pixels_only();
        self
    }

    /// The file's name, as messages give it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether rows have a label.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        self.layout.has_labels()
    }

    /// Whether rows have a [`Usage`].
    #[must_use]
    pub fn has_usage(&self) -> bool {
        self.layout.has_usage()
    }

    /// The bad rows left out so far; none unless [`Options::skip_bad_rows`] is set.
    #[must_use]
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The next row, good or bad; `None` at the end of the file.
    fn next_row(&mut self) -> Option<Result<Row, DataError>> {
        loop {
            let parsed = match self.lines.next() {
                Err(source) => {
                    self.done = true;
                    return Some(Err(DataError::Read {
                        path: self.path.clone(),
                        line: self.lines.number(),
                        source,
                    }));
                }
                Ok(None) => return None,
                Ok(Some(Line::Whole)) if self.lines.is_blank() => continue,
                Ok(Some(Line::Whole)) => {
                    self.layout
                        .row(self.lines.bytes(), self.lines.terminated(), &mut self.splitter)
                }
                Ok(Some(Line::TooLong)) => Err(BadRow::LineTooLong),
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
