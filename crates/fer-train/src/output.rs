//! Standard output, standard error and files.

use std::{io::Write, path::Path};

use crate::error::TrainError;

/// Writes one line to standard error. A closed stream does not stop a training run.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Replaces a file; a failure leaves the one that was there.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), TrainError> {
    fer_engine::files::replace(path, |f| f.write_all(content)).map_err(TrainError::file(path))
}

/// Writes a command's result to standard output.
pub(crate) fn print(text: &str) -> Result<(), TrainError> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        // The reader has closed the pipe (`| head`), which is not an error.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(TrainError::file(Path::new("standard output"))),
    }
}
