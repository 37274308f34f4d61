//! Reading files that an operator names, and writing files that are either whole or as they were before.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system's error.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A folder, a FIFO, a socket or a device.
    #[error("is not a regular file")]
    NotRegular,
    /// Its size, in bytes, is above the limit.
    #[error("has more than {0} bytes")]
    TooLarge(u64),
}

/// Opens a regular file of at most `max` bytes. A file of another kind is refused before its content is asked for: the
/// open of a FIFO would wait for a writer, and a device may have no end.
///
/// # Errors
/// [`ReadError`].
pub fn open(path: &Path, max: u64) -> Result<(File, Metadata), ReadError> {
    let check = |metadata: &Metadata| match metadata {
        m if !m.is_file() => Err(ReadError::NotRegular),
        m if m.len() > max => Err(ReadError::TooLarge(max)),
        _ => Ok(()),
    };
    // Opening a device can already have an effect.
    check(&fs::metadata(path)?)?;
    // The path may name something else by now, and the open must not wait for it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    check(&metadata)?;
    Ok((file, metadata))
}

/// Reads a regular file of at most `max` bytes.
///
/// # Errors
/// [`ReadError`].
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, ReadError> {
    let (file, metadata) = open(path, max)?;
    read_opened(file, &metadata, max)
}

/// Reads what [`open`] has opened, at most `max` bytes.
///
/// # Errors
/// [`ReadError`].
pub fn read_opened(file: File, metadata: &Metadata, max: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    // The file may grow while it is read.
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(ReadError::TooLarge(max));
    }
    Ok(bytes)
}

/// Writes a file beside `path`, brings it to the disk and moves it into place, so that a crash, a full disk
/// or a failing `write` leaves what was there before.
///
/// # Errors
/// What creating, writing, syncing or renaming gives; the file beside is removed then.
pub fn replace<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
) -> Result<(), E> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file name").into());
    };
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = folder.join(part);
    let written = (|| {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&part)?);
        write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        fs::rename(&part, path)?;
        // The rename itself must reach the disk too.
        File::open(folder)?.sync_all()?;
        Ok(())
    })();
    if written.is_err() {
        // Best effort: what matters is the error that led here.
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        replace(&path, |f| f.write_all(b"old")).unwrap();
        let failed = replace(&path, |f| {
            f.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, b"abc").unwrap();
        assert_eq!(read(&path, 3).unwrap(), b"abc");
        assert!(matches!(read(&path, 2), Err(ReadError::TooLarge(2))));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link, 3).unwrap(), b"abc");

        let fifo = dir.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for other in [dir.path(), &fifo, &socket, Path::new("/dev/zero")] {
            let error = read(other, 3).unwrap_err();
            assert!(
                matches!(error, ReadError::NotRegular),
                "{}: {error}",
                other.display()
            );
        }
        let none = read(&dir.path().join("none"), 3).unwrap_err().to_string();
        assert!(none.contains("cannot be read"), "{none}");
        // A sparse file is not read, and no memory is taken for it.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(read(&path, 1 << 20), Err(ReadError::TooLarge(_))));
        // Longer than the system says: the files of /proc have a size of 0.
        assert!(matches!(
            read(Path::new("/proc/self/status"), 3),
            Err(ReadError::TooLarge(3))
        ));
    }

    #[test]
    fn a_bare_name_is_written_in_the_current_folder() {
        let path = Path::new("no-such-folder-here/f");
        assert!(replace(path, |f| f.write_all(b"x")).is_err());
    }
}
