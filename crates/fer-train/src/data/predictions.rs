//! The challenge's task: rows with pixels only in, one `emotion` a row out.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{Options, Reader, counted};
use crate::error::DataError;
use fer_engine::emotion::Probabilities;
use fer_image::Face;

/// Reads the `pixels` of `data` in batches, classifies each batch, and writes `out`: the header `emotion`, then the
/// likeliest label's number (0–6) for each row in order. Returns the number of rows.
///
/// Other columns of `data` are ignored. Answers are matched to rows by position, so a bad row stops the run. `out` is
/// replaced at the end; a run that fails leaves the file that was there. A pipe or device as `out` (`/dev/stdout`) is
/// written to while the rows are read.
pub(crate) fn write_predictions<E: From<DataError>>(
    data: &Path,
    out: &Path,
    batch: usize,
    mut classify: impl FnMut(&[Face]) -> Result<Vec<Probabilities>, E>,
) -> Result<u64, E> {
    let reader = Reader::open(data, Options::default())?.pixels_only();
    let mut rows = 0;
    let written = match Target::of(data, out)? {
        Target::Stream => OpenOptions::new()
            .write(true)
            .open(out)
            .map_err(Stop::Write)
            .and_then(|file| {
                let mut file = BufWriter::new(file);
                rows = write_rows(reader, &mut file, batch, &mut classify)?;
                file.flush().map_err(Stop::Write)
            }),
        Target::File(path) => fer_engine::files::replace(&path, |file| {
            rows = write_rows(reader, file, batch, &mut classify)?;
            Ok(())
        }),
    };
    written.map_err(|stop| match stop {
        Stop::Write(e) => cannot_write(out, &e).into(),
        Stop::Other(e) => e,
    })?;
    Ok(rows)
}

fn cannot_write(out: &Path, error: &io::Error) -> DataError {
    DataError::File(format!("cannot write {}: {error}", out.display()))
}

/// Where the answers go.
enum Target {
    /// A pipe or a device, which a rename would replace by a file.
    Stream,
    /// A file, which need not exist; links are followed.
    File(PathBuf),
}

impl Target {
    fn of(data: &Path, out: &Path) -> Result<Self, DataError> {
        let Ok(meta) = fs::metadata(out) else {
            return Ok(Self::File(out.to_owned()));
        };
        if meta.is_dir() {
            return Err(cannot_write(out, &io::ErrorKind::IsADirectory.into()));
        }
        if !meta.is_file() {
            return Ok(Self::Stream);
        }
        match (fs::canonicalize(out), fs::canonicalize(data)) {
            (Ok(to), Ok(from)) if to == from => Err(DataError::File(format!(
                "{} is the file that is read; the predictions need another name",
                out.display()
            ))),
            (Ok(to), _) => Ok(Self::File(to)),
            (Err(e), _) => Err(cannot_write(out, &e)),
        }
    }
}

/// Writing failed, or something else did.
enum Stop<E> {
    Write(io::Error),
    Other(E),
}

impl<E> From<io::Error> for Stop<E> {
    fn from(e: io::Error) -> Self {
        Self::Write(e)
    }
}

fn write_rows<E: From<DataError>>(
    reader: Reader,
    file: &mut impl Write,
    batch: usize,
    classify: &mut impl FnMut(&[Face]) -> Result<Vec<Probabilities>, E>,
) -> Result<u64, Stop<E>> {
    let path = reader.path().to_owned();
    let mut faces = Vec::with_capacity(batch.max(1));
    let mut rows = 0;
    writeln!(file, "emotion")?;
    let mut reader = reader.peekable();
    while let Some(row) = reader.next() {
        faces.push(row.map_err(|e| Stop::Other(e.into()))?.face);
        if faces.len() < batch && reader.peek().is_some() {
            continue;
        }
        let answers = classify(&faces).map_err(Stop::Other)?;
        if answers.len() != faces.len() {
            let answers = counted(answers.len() as u64, "answer");
            let reason = format!("{answers} came for {}", counted(faces.len() as u64, "row"));
            return Err(Stop::Other(DataError::file(&path, reason).into()));
        }
        for answer in &answers {
            writeln!(file, "{}", answer.top().0.index())?;
        }
        rows += faces.len() as u64;
        faces.clear();
    }
    Ok(rows)
}
