//! Where weights come from.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{FILE_MANIFEST, FILE_SAFETENSORS, FileEntry, Manifest};
use crate::EngineError;

/// A file of weights that a training run started from or learned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Name and version of the model if its `model.json` is next to the weights, else the file's name.
    pub name: String,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

impl Provenance {
    /// Of a file of weights.
    ///
    /// # Errors
    /// [`EngineError::Read`].
    pub fn of(path: &Path) -> Result<Self, EngineError> {
        let FileEntry { sha256, .. } = FileEntry::of(path)?;
        // A manifest that cannot be read, or that names other weights, says nothing about these.
        let manifest = std::fs::read(path.with_file_name(FILE_MANIFEST))
            .ok()
            .and_then(|text| Manifest::parse(&text).ok())
            .filter(|m| {
                let weights = m.files.get(FILE_SAFETENSORS);
                weights.is_some_and(|w| w.sha256.eq_ignore_ascii_case(&sha256))
            });
        let name = match manifest {
            Some(m) => format!("{} {}", m.name, m.version),
            None => path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        };
        Ok(Self { name, sha256 })
    }
}
