//! The challenge's task: rows with pixels only in, one `emotion` a row out.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{DataError, Options, Reader};
use fer_engine::emotion::Probabilities;
use fer_image::Face;

/// Reads the `pixels` of `data` in batches, has `classify` answer for each batch, and writes `out`: the
/// header `emotion`, then the likeliest label's number (0–6) for each row in order. Gives the number of rows.
///
/// Other columns of `data` are not looked at. The answer has to stand in the row's place, so a bad row stops
/// the run: there is no skipping here. `out` appears when it is whole; a run that fails leaves what was there
/// before. A pipe or device as `out` (`/dev/stdout`) is written to as the rows come.
///
/// # Errors
/// [`DataError`] if `data` cannot be read or `out` cannot be written, and what `classify` gives.
pub fn write_predictions<E: From<DataError>>(
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
        Stop::Write(source) => DataError::Write {
            path: out.to_owned(),
            source,
        }
        .into(),
        Stop::Other(e) => e,
    })?;
    Ok(rows)
}

/// Where the answers go.
enum Target {
    /// A pipe or a device, which a rename would put out of the way.
    Stream,
    /// A file, there or not yet; links are followed.
    File(PathBuf),
}

impl Target {
    fn of(data: &Path, out: &Path) -> Result<Self, DataError> {
        let path = out.to_owned();
        let Ok(meta) = fs::metadata(out) else {
            return Ok(Self::File(path));
        };
        if meta.is_dir() {
            let source = io::ErrorKind::IsADirectory.into();
            return Err(DataError::Write { path, source });
        }
        if !meta.is_file() {
            return Ok(Self::Stream);
        }
        match (fs::canonicalize(out), fs::canonicalize(data)) {
            (Ok(out), Ok(data)) if out == data => Err(DataError::SameFile { path }),
            (Ok(out), _) => Ok(Self::File(out)),
            (Err(source), _) => Err(DataError::Write { path, source }),
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
            let (rows, answers) = (faces.len(), answers.len());
            return Err(Stop::Other(DataError::Answers { path, rows, answers }.into()));
        }
        for answer in &answers {
            writeln!(file, "{}", answer.top().0.index())?;
        }
        rows += faces.len() as u64;
        faces.clear();
    }
    Ok(rows)
}
