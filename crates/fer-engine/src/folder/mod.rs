//! The model folder: `model.pt`, `model.safetensors`, `model.json`.

mod manifest;
mod provenance;
mod record;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use manifest::{FileEntry, InputSpec, Manifest, write_json};
pub use record::{
    Best, Case, ClassScores, Kept, Provenance, Robustness, Rows, ScoreReport, Scores, Section, Training,
};

use crate::EngineError;

/// Name, version, scaling, hashes and scores.
pub const FILE_MANIFEST: &str = "model.json";
/// The network as TorchScript.
pub const FILE_TORCHSCRIPT: &str = "model.pt";
/// The same weights by name.
pub const FILE_SAFETENSORS: &str = "model.safetensors";

/// A model folder whose manifest was read and whose files were checked against it.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    path: PathBuf,
    manifest: Manifest,
    torchscript: Arc<[u8]>,
    weights: Option<Arc<[u8]>>,
}

impl ModelFolder {
    /// Reads `model.json` and checks the files it names: present, of that size, of that hash.
    ///
    /// # Errors
    /// [`EngineError::Read`] if a file cannot be read; [`EngineError::Invalid`] if the manifest is not
    /// understood, names other labels or another input size, or a file differs from what it says.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        // A link that is set to another folder meanwhile must not mix the two.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let manifest_path = path.join(FILE_MANIFEST);
        let manifest = Manifest::parse(&read(&manifest_path)?).map_err(|reason| EngineError::Invalid {
            path: manifest_path,
            reason,
        })?;
        let (mut torchscript, mut weights) = (Vec::new(), None);
        for (name, entry) in &manifest.files {
            let bytes = read_checked(&path.join(name), entry)?;
            match name.as_str() {
                FILE_TORCHSCRIPT => torchscript = bytes,
                FILE_SAFETENSORS => weights = Some(bytes.into()),
                _ => {}
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

fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    std::fs::read(path).map_err(|source| EngineError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Checks a file and returns the bytes that were checked.
fn read_checked(path: &Path, entry: &FileEntry) -> Result<Vec<u8>, EngineError> {
    let content = read(path)?;
    let FileEntry { sha256, bytes } = FileEntry::of_bytes(&content);
    let reason = if bytes != entry.bytes {
        format!("has {bytes} bytes, {FILE_MANIFEST} says {}", entry.bytes)
    } else if !sha256.eq_ignore_ascii_case(&entry.sha256) {
        format!("its SHA-256 is {sha256}, {FILE_MANIFEST} says {}", entry.sha256)
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
