//! Where a run's first weights come from, if they are not random.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::TrainError;
use fer_engine::{FILE_MANIFEST, FILE_SAFETENSORS, Manifest, sha256_hex};

/// What `--init` was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedFrom {
    /// Name and version of the model whose weights they are, where its `model.json` lies beside them; else the file's name.
    pub name: String,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

impl StartedFrom {
    /// Of a file of weights.
    ///
    /// # Errors
    /// [`TrainError::File`] if it cannot be read.
    pub fn of(path: &Path) -> Result<Self, TrainError> {
        let sha256 = sha256_hex(path).map_err(TrainError::file(path))?;
        // A manifest that cannot be read, or is of other weights, says nothing about these.
        let manifest = std::fs::read(path.with_file_name(FILE_MANIFEST))
            .ok()
            .and_then(|text| serde_json::from_slice::<Manifest>(&text).ok())
            .filter(|m| {
                m.files
                    .get(FILE_SAFETENSORS)
                    .is_some_and(|f| f.sha256.eq_ignore_ascii_case(&sha256))
            });
        let name = manifest.map_or_else(
            || {
                path.file_name()
                    .map_or_else(String::new, |n| n.to_string_lossy().into_owned())
            },
            |m| format!("{} {}", m.name, m.version),
        );
        Ok(Self { name, sha256 })
    }
}
