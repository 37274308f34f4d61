//! The challenge's task: rows with pixels only in, one `emotion` a row out.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{Reader, counted};
use crate::error::TrainError;
use fer_engine::emotion::Probabilities;
use fer_image::Face;

/// Reads the `pixels` of `data` in batches, classifies each batch, and writes `out`: the header `emotion`, then the
/// likeliest label's number (0–6) for each row in order. Returns the number of rows.
///
/// Other columns of `data` are ignored. Answers are matched to rows by position, so a bad row stops the run. `out` is
/// replaced at the end; a run that fails leaves the file that was there. A pipe or device as `out` (`/dev/stdout`) is
/// written to while the rows are read.
pub(crate) fn write_predictions(
    data: &Path,
    out: &Path,
    batch: usize,
    mut classify: impl FnMut(&[Face]) -> Result<Vec<Probabilities>, TrainError>,
) -> Result<u64, TrainError> {
    let mut reader = Reader::open(data, false)?;
    (reader.layout.emotion, reader.layout.usage) = (None, None);
    let mut rows = 0;
    let written = match file_to_write(data, out)? {
        None => OpenOptions::new()
            .write(true)
            .open(out)
            .map_err(Stop::Write)
            .and_then(|file| {
                let mut file = BufWriter::new(file);
                rows = write_rows(reader, &mut file, batch, &mut classify)?;
                file.flush().map_err(Stop::Write)
            }),
        Some(path) => fer_engine::files::replace(&path, |file| {
            rows = write_rows(reader, file, batch, &mut classify)?;
            Ok(())
        }),
    };
    written.map_err(|stop| match stop {
        Stop::Write(e) => cannot_write(out, &e),
        Stop::Other(e) => e,
    })?;
    Ok(rows)
}

fn cannot_write(out: &Path, error: &io::Error) -> TrainError {
    TrainError::Usage(format!("cannot write {}: {error}", out.display()))
}

/// The file behind `out`, which need not exist; links are followed. `None` for a pipe or a device, which a rename would
/// replace by a file.
fn file_to_write(data: &Path, out: &Path) -> Result<Option<PathBuf>, TrainError> {
    let Ok(meta) = fs::metadata(out) else {
        return Ok(Some(out.to_owned()));
    };
    if meta.is_dir() {
        return Err(cannot_write(out, &io::ErrorKind::IsADirectory.into()));
    }
    if !meta.is_file() {
        return Ok(None);
    }
    let to = fs::canonicalize(out).map_err(|e| cannot_write(out, &e))?;
    if fs::canonicalize(data).is_ok_and(|from| from == to) {
        return Err(TrainError::Usage(format!(
            "{} is the file that is read; the predictions need another name",
            out.display()
        )));
    }
    Ok(Some(to))
}

enum Stop {
    Write(io::Error),
    Other(TrainError),
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        Self::Write(e)
    }
}

fn write_rows(
    reader: Reader,
    file: &mut impl Write,
    batch: usize,
    classify: &mut impl FnMut(&[Face]) -> Result<Vec<Probabilities>, TrainError>,
) -> Result<u64, Stop> {
    let path = reader.path.clone();
    let mut faces = Vec::with_capacity(batch.max(1));
    let mut rows = 0;
    writeln!(file, "emotion")?;
    let mut reader = reader.peekable();
    while let Some(row) = reader.next() {
        faces.push(row.map_err(Stop::Other)?.face);
        if faces.len() < batch && reader.peek().is_some() {
            continue;
        }
        let answers = classify(&faces).map_err(Stop::Other)?;
        if answers.len() != faces.len() {
            let answers = counted(answers.len() as u64, "answer");
            let reason = format!("{answers} came for {}", counted(faces.len() as u64, "row"));
            return Err(Stop::Other(TrainError::invalid(&path)(reason)));
        }
        for answer in &answers {
            writeln!(file, "{}", answer.top().0.index())?;
        }
        rows += faces.len() as u64;
        faces.clear();
    }
    Ok(rows)
}
