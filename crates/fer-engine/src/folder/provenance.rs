//! Where weights come from.

use std::path::Path;

use super::{FILE_MANIFEST, FILE_SAFETENSORS, FileEntry, Manifest, Provenance, read_json};
use crate::EngineError;

impl Provenance {
    /// Of a file of weights.
    ///
    /// # Errors
    /// [`EngineError::Read`].
    pub fn of(path: &Path) -> Result<Self, EngineError> {
        let FileEntry { sha256, .. } = FileEntry::of(path)?;
        // A manifest that cannot be read, or that names other weights, says nothing about these.
        let manifest = read_json(&path.with_file_name(FILE_MANIFEST))
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
