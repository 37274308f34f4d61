//! The model folder: `model.pt`, `model.safetensors`, `model.json`.

mod manifest;
mod provenance;
mod record;

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

pub use manifest::{FORMAT, FileEntry, InputSpec, Manifest, write_json};
pub use provenance::Provenance;
pub use record::{Best, Case, ClassScores, Kept, Robustness, Rows, ScoreReport, Scores, Section, Training};

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
        let text = std::fs::read(&manifest_path).map_err(|source| EngineError::Read {
            path: manifest_path.clone(),
            source,
        })?;
        let invalid = |reason: String| EngineError::Invalid {
            path: manifest_path.clone(),
            reason,
        };
        let manifest = Manifest::parse(&text).map_err(invalid)?;
        let (mut torchscript, mut weights) = (Vec::new(), None);
        for (name, entry) in &manifest.files {
            let path = path.join(name);
            match name.as_str() {
                FILE_TORCHSCRIPT => torchscript = read_checked(&path, entry)?,
                FILE_SAFETENSORS => weights = Some(read_checked(&path, entry)?.into()),
                _ => check_file(&path, entry)?,
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

fn check_file(path: &Path, entry: &FileEntry) -> Result<(), EngineError> {
    let found = FileEntry::of(path)?;
    compare(path, entry, &found)
}

/// Checks a file and hands out the bytes that were checked.
fn read_checked(path: &Path, entry: &FileEntry) -> Result<Vec<u8>, EngineError> {
    let bytes = std::fs::read(path).map_err(|source| EngineError::Read {
        path: path.to_owned(),
        source,
    })?;
    let found = FileEntry {
        sha256: hex(&Sha256::digest(&bytes)),
        bytes: bytes.len() as u64,
    };
    compare(path, entry, &found)?;
    Ok(bytes)
}

fn compare(path: &Path, entry: &FileEntry, found: &FileEntry) -> Result<(), EngineError> {
    let (bytes, sha256) = (found.bytes, &found.sha256);
    let reason = if bytes != entry.bytes {
        format!("has {bytes} bytes, {FILE_MANIFEST} says {}", entry.bytes)
    } else if !sha256.eq_ignore_ascii_case(&entry.sha256) {
        format!("its SHA-256 is {sha256}, {FILE_MANIFEST} says {}", entry.sha256)
    } else {
        return Ok(());
    };
    Err(EngineError::Invalid {
        path: path.to_owned(),
        reason,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 of a file as lower-case hex.
///
/// # Errors
/// What reading gives.
pub fn sha256_hex(path: &Path) -> std::io::Result<String> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = reader.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
    }
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::emotion::Emotion;

    /// A folder whose manifest is right: `model.pt` holds three bytes, which is all that is looked at here.
    fn folder() -> (tempfile::TempDir, Value) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_TORCHSCRIPT), b"abc").unwrap();
        let manifest = serde_json::json!({
            "name": "m", "version": "1", "labels": Emotion::ALL,
            "input": {"width": 48, "height": 48, "channels": 1, "scale": 1.0, "mean": 0.0, "std": 1.0},
            "files": {"model.pt": {
                // FIPS 180-2, appendix B.1.
                "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "bytes": 3}},
        });
        (dir, manifest)
    }

    fn open(dir: &tempfile::TempDir, manifest: &Value) -> Result<ModelFolder, String> {
        std::fs::write(dir.path().join(FILE_MANIFEST), manifest.to_string()).unwrap();
        ModelFolder::open(dir.path()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_whole_folder_opens() {
        let (dir, manifest) = folder();
        let opened = open(&dir, &manifest).unwrap();
        assert_eq!(opened.manifest().name, "m");
        assert_eq!(opened.file(FILE_TORCHSCRIPT), dir.path().join("model.pt"));
    }

    #[test]
    fn what_differs_from_the_manifest_is_named() {
        let (dir, manifest) = folder();
        for (bytes, word) in [
            (b"abd".as_slice(), "SHA-256"),
            (b"abcd", "4 bytes"),
            (b"", "0 bytes"),
        ] {
            std::fs::write(dir.path().join(FILE_TORCHSCRIPT), bytes).unwrap();
            let message = open(&dir, &manifest).unwrap_err();
            assert!(
                message.contains("model.pt") && message.contains(word),
                "{message}"
            );
        }
        std::fs::remove_file(dir.path().join(FILE_TORCHSCRIPT)).unwrap();
        assert!(open(&dir, &manifest).unwrap_err().contains("cannot read"));
    }

    #[test]
    fn a_manifest_of_something_else_is_refused() {
        type Change = fn(&mut Value);
        let changes: [(Change, &str); 18] = [
            (
                |m| m["format"] = 2.into(),
                "has format 2, and this version reads formats up to 1",
            ),
            (|m| m["format"] = "new".into(), "not a model manifest"),
            (|m| m["input"]["scale"] = 1e-60.into(), "black and white"),
            (|m| m["input"]["mean"] = 1e30.into(), "black and white"),
            (|m| m["labels"][0] = "happy".into(), "labels"),
            (|m| m["labels"] = serde_json::json!([]), "labels"),
            (|m| m["input"]["width"] = 64.into(), "64"),
            (|m| m["input"]["std"] = 0.into(), "std"),
            (|m| m["input"]["std"] = 1e-320.into(), "beyond 32-bit floats"),
            (|m| m["input"]["mean"] = 1e300.into(), "beyond 32-bit floats"),
            (|m| m["input"] = Value::Null, "not a model manifest"),
            (|m| m["version"] = "".into(), "empty"),
            (
                |m| m["calibration"] = serde_json::json!({"temperature": 0}),
                "calibration.temperature is 0",
            ),
            (|m| m["calibration"] = serde_json::json!({}), "temperature"),
            (|m| m["files"] = serde_json::json!({}), "model.pt"),
            (
                |m| m["files"]["../../etc/passwd"] = m["files"]["model.pt"].clone(),
                "plain name",
            ),
            (|m| m["files"][""] = m["files"]["model.pt"].clone(), "plain name"),
            (
                |m| m["files"]["model.pt/."] = m["files"]["model.pt"].clone(),
                "plain name",
            ),
        ];
        for (change, word) in changes {
            let (dir, mut manifest) = folder();
            change(&mut manifest);
            let message = open(&dir, &manifest).unwrap_err();
            assert!(
                message.contains(FILE_MANIFEST) && message.contains(word),
                "{word}: {message}"
            );
        }
    }

    fn shipped() -> (Vec<u8>, Manifest) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../model/model.json");
        let text = std::fs::read(path).unwrap();
        let manifest = Manifest::parse(&text).unwrap();
        (text, manifest)
    }

    #[test]
    fn the_shipped_manifest_is_known_in_all_its_parts_and_written_again_as_it_is() {
        let (text, manifest) = shipped();
        assert!(manifest.training.known().is_some_and(|t| t.extra.is_empty()));
        assert!(manifest.scores.known().is_some_and(|s| s.extra.is_empty()));
        assert!(manifest.robustness.known().is_some_and(|r| r.extra.is_empty()));
        let dir = tempfile::tempdir().unwrap();
        manifest.write(dir.path()).unwrap();
        let written = std::fs::read_to_string(dir.path().join(FILE_MANIFEST)).unwrap();
        let without = written.replacen("  \"format\": 1,\n", "", 1);
        assert_eq!(without, String::from_utf8(text).unwrap());
    }

    /// The paths of all objects of a JSON value.
    fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.push(at.to_owned());
                for (key, value) in fields {
                    objects(value, &format!("{at}/{key}"), found);
                }
            }
            Value::Array(entries) => {
                for (i, value) in entries.iter().enumerate() {
                    objects(value, &format!("{at}/{i}"), found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn unknown_fields_are_kept_at_every_level() {
        let mut value: Value = serde_json::from_slice(&shipped().0).unwrap();
        let mut paths = Vec::new();
        objects(&value, "", &mut paths);
        assert!(paths.len() > 35, "{paths:?}");
        for path in &paths {
            // The keys of these two are names, of files and of labels.
            if path != "/files" && path != "/scores/per_class" {
                value.pointer_mut(path).unwrap()["later"] = serde_json::json!({"x": [1, 0.1]});
            }
        }
        let manifest = Manifest::parse(value.to_string().as_bytes()).unwrap();
        assert!(manifest.training.known().is_some() && manifest.scores.known().is_some());
        assert!(manifest.robustness.known().is_some());
        value["format"] = 1.into();
        assert_eq!(serde_json::to_value(&manifest).unwrap(), value);
    }

    #[test]
    fn records_of_another_shape_are_kept_and_refuse_no_model() {
        let (_, mut value) = folder();
        value["training"] = serde_json::json!("by hand");
        value["scores"] = serde_json::json!({"accuracy": 0.5});
        let manifest = Manifest::parse(value.to_string().as_bytes()).unwrap();
        assert!(manifest.scores.known().is_none());
        value["format"] = 1.into();
        assert_eq!(serde_json::to_value(&manifest).unwrap(), value);
    }

    #[test]
    fn a_run_that_started_from_something_in_words_is_known() {
        // As in the folder of the first shipped model.
        let mut value: Value = serde_json::from_slice(&shipped().0).unwrap();
        value["training"]["started_from"] = serde_json::json!({"what": "an earlier run", "seed": 1});
        let manifest = Manifest::parse(value.to_string().as_bytes()).unwrap();
        assert!(manifest.training.known().is_some());
        let written = serde_json::to_value(&manifest).unwrap();
        assert_eq!(written["training"], value["training"]);
    }
}
