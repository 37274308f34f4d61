//! The model folder: `model.pt`, `model.safetensors`, `model.json`.

mod manifest;
mod provenance;
mod record;

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use manifest::{FileEntry, InputSpec, Manifest, check_name, write_json};
pub use record::{
    Best, Case, ClassScores, Kept, Provenance, Robustness, Rows, ScoreReport, Scores, Section, Training,
};

use crate::{EngineError, files};

/// Name, version, scaling, hashes and scores.
pub const FILE_MANIFEST: &str = "model.json";
/// The network as TorchScript.
pub const FILE_TORCHSCRIPT: &str = "model.pt";
/// The same weights by name.
pub const FILE_SAFETENSORS: &str = "model.safetensors";

/// Longest file of JSON that is read, in bytes.
const JSON_MAX: u64 = 4 << 20;
/// Longest file of weights, or other file that a manifest names, in bytes.
const FILE_MAX: u64 = 2 << 30;

/// A model folder whose manifest was read and whose files were checked against it.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    path: PathBuf,
    manifest: Manifest,
    torchscript: Arc<[u8]>,
    weights: Option<Arc<[u8]>>,
}

impl ModelFolder {
    /// Reads `model.json` and checks the files it names: regular files, of that size, of that hash.
    ///
    /// # Errors
    /// [`EngineError::Read`] if a file cannot be read; [`EngineError::Invalid`] if the manifest is not
    /// understood, names other labels or another input size, or a file differs from what it says.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        // A link that is set to another folder meanwhile must not mix the two.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let manifest_path = path.join(FILE_MANIFEST);
        let manifest =
            Manifest::parse(&read_json(&manifest_path)?).map_err(|reason| EngineError::Invalid {
                path: manifest_path,
                reason,
            })?;
        let (mut torchscript, mut weights) = (Vec::new(), None);
        for (name, entry) in &manifest.files {
            let file = path.join(name);
            match name.as_str() {
                FILE_TORCHSCRIPT => torchscript = read_checked(&file, entry, true)?,
                FILE_SAFETENSORS => weights = Some(read_checked(&file, entry, true)?.into()),
                _ => drop(read_checked(&file, entry, false)?),
            }
        }
        Ok(Self {
            path: path.to_owned(),
            manifest,
            torchscript: torchscript.into(),
            weights,
        })
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// `model.pt` as it was when it was checked: an engine that is built later is of the same weights, whatever
    /// became of the file.
    #[must_use]
    pub fn torchscript(&self) -> &[u8] {
        &self.torchscript
    }

    /// `model.safetensors` as it was when it was checked; none if the manifest does not name it.
    #[must_use]
    pub fn weights(&self) -> Option<&[u8]> {
        self.weights.as_deref()
    }

    /// Where a file of the folder lies.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Reads a file of JSON that the folder has.
pub(crate) fn read_json(path: &Path) -> Result<Vec<u8>, EngineError> {
    files::read(path, JSON_MAX).map_err(|e| EngineError::unread(path, e))
}

/// Checks a file against its entry, and returns the bytes that were checked if they are to be kept. The size is compared
/// before a byte is read, and a file that is only checked takes no memory.
fn read_checked(path: &Path, entry: &FileEntry, keep: bool) -> Result<Vec<u8>, EngineError> {
    let (file, metadata) = files::open(path, FILE_MAX).map_err(|e| EngineError::unread(path, e))?;
    let mut content = Vec::new();
    let mut found = FileEntry {
        bytes: metadata.len(),
        sha256: String::new(),
    };
    if found.bytes == entry.bytes {
        if keep {
            content.reserve_exact(usize::try_from(found.bytes).unwrap_or(0));
        }
        // One byte more than expected shows that the file has grown.
        found = FileEntry::of_reader(file.take(entry.bytes.saturating_add(1)), |chunk| {
            if keep {
                content.extend_from_slice(chunk);
            }
        })
        .map_err(|e| EngineError::unread(path, e.into()))?;
    }
    let reason = if found.bytes != entry.bytes {
        format!("has {} bytes, {FILE_MANIFEST} says {}", found.bytes, entry.bytes)
    } else if !found.sha256.eq_ignore_ascii_case(&entry.sha256) {
        format!(
            "its SHA-256 is {}, {FILE_MANIFEST} says {}",
            found.sha256, entry.sha256
        )
    } else {
        return Ok(content);
    };
    Err(EngineError::Invalid {
        path: path.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests;
