//! The model folder: `model.pt`, `model.safetensors`, `model.json`.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{EngineError, Tempering};
use crate::{emotion::Emotion, image::SIDE};

/// Name, version, scaling, hashes and scores.
pub const FILE_MANIFEST: &str = "model.json";
/// The network as TorchScript.
pub const FILE_TORCHSCRIPT: &str = "model.pt";
/// The same weights by name.
pub const FILE_SAFETENSORS: &str = "model.safetensors";

/// `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The model's name in answers and on `/v2`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The labels in the order of the output; must be those of [`Emotion::ALL`].
    pub labels: Vec<String>,
    /// What goes in.
    pub input: InputSpec,
    /// The two weight files.
    pub files: std::collections::BTreeMap<String, FileEntry>,
    /// The temperature that makes its probabilities fit; without it they are the softmax as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Tempering>,
    /// Training configuration and seed, as `fer-train` wrote it.
    #[serde(default)]
    pub training: serde_json::Value,
    /// The scores `fer-train eval` gave.
    #[serde(default)]
    pub scores: serde_json::Value,
    /// What `fer-train eval --robustness` gave, if it was recorded.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub robustness: serde_json::Value,
}

impl Manifest {
    /// What logits are divided by, 1 where nothing was fitted.
    #[must_use]
    pub fn temperature(&self) -> f64 {
        self.calibration.map_or(1.0, |c| c.temperature)
    }
}

impl Manifest {
    /// Reads the text of a `model.json` and checks it. The files that it names are not looked at.
    ///
    /// # Errors
    /// A sentence: it is not such a text, names other labels or another input size, or a file by a path.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let manifest = serde_json::from_slice(text).map_err(|e| format!("not a model manifest: {e}"))?;
        check_manifest(&manifest)?;
        Ok(manifest)
    }
}

/// The network's input: a gray value `p` (0–255) goes in as `(p · scale − mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Pixels, 48.
    pub width: usize,
    /// Pixels, 48.
    pub height: usize,
    /// 1: gray.
    pub channels: usize,
    /// Factor on the gray value, usually 1/255.
    pub scale: f64,
    /// Taken off after scaling.
    pub mean: f64,
    /// Divided by last.
    pub std: f64,
}

impl InputSpec {
    /// Says what is wrong with it.
    ///
    /// # Errors
    /// A sentence: another size than 48×48×1, or scaling that is not finite or divides by zero.
    pub fn check(&self) -> Result<(), String> {
        if (self.width, self.height, self.channels) != (SIDE, SIDE, 1) {
            return Err(format!(
                "input is {}×{}×{}; wanted {SIDE}×{SIDE}×1",
                self.width, self.height, self.channels
            ));
        }
        if ![self.scale, self.mean, self.std].iter().all(|x| x.is_finite())
            || self.scale == 0.0
            || self.std <= 0.0
        {
            return Err(
                "input scaling needs a finite mean, a scale other than 0 and a std above 0".to_owned(),
            );
        }
        // Finite numbers can still give an infinite quotient.
        let (factor, offset) = self.affine();
        #[allow(clippy::cast_possible_truncation)] // what the engines compute with
        let scaled = [factor, offset, 255.0 * factor + offset].map(|x| x as f32);
        if !scaled.iter().all(|x| x.is_finite()) {
            return Err("input scaling turns gray values into numbers beyond 32-bit floats".to_owned());
        }
        Ok(())
    }

    /// `p · factor + offset` is the scaled value of a gray value `p`.
    #[must_use]
    pub fn affine(&self) -> (f64, f64) {
        (self.scale / self.std, -self.mean / self.std)
    }
}

/// What a file of the folder must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Lower-case hex.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// A model folder whose manifest was read and whose files were checked against it.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    path: PathBuf,
    manifest: Manifest,
    torchscript: Arc<[u8]>,
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
        let mut torchscript = Vec::new();
        for (name, entry) in &manifest.files {
            let path = path.join(name);
            if name == FILE_TORCHSCRIPT {
                torchscript = read_checked(&path, entry)?;
            } else {
                check_file(&path, entry)?;
            }
        }
        Ok(Self {
            path: path.to_owned(),
            manifest,
            torchscript: torchscript.into(),
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

    /// Where a file of the folder lies.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn check_manifest(m: &Manifest) -> Result<(), String> {
    if !m
        .labels
        .iter()
        .map(String::as_str)
        .eq(Emotion::ALL.map(Emotion::name))
    {
        return Err(format!(
            "labels are {:?}; wanted {:?}",
            m.labels,
            Emotion::ALL.map(Emotion::name)
        ));
    }
    m.input.check()?;
    m.calibration.map_or(Ok(()), |c| c.check())?;
    if m.name.is_empty() || m.version.is_empty() {
        return Err("name and version must not be empty".to_owned());
    }
    // Any other name would reach outside the folder, or be the folder.
    if let Some(bad) = m.files.keys().find(|f| !is_plain(f)) {
        return Err(format!("file name '{bad}' is not a plain name"));
    }
    if !m.files.contains_key(FILE_TORCHSCRIPT) {
        return Err(format!("`files` does not name {FILE_TORCHSCRIPT}"));
    }
    Ok(())
}

/// Whether a name is that of a file in the folder itself.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let plain = matches!(parts.next(), Some(Component::Normal(first)) if first == name);
    plain && parts.next().is_none() && !name.contains(['\\', '\0'])
}

fn check_file(path: &Path, entry: &FileEntry) -> Result<(), EngineError> {
    let read = |source| EngineError::Read {
        path: path.to_owned(),
        source,
    };
    compare_size(path, entry, std::fs::metadata(path).map_err(read)?.len())?;
    compare_hash(path, entry, &sha256_hex(path).map_err(read)?)
}

/// Checks a file and hands out the bytes that were checked.
fn read_checked(path: &Path, entry: &FileEntry) -> Result<Vec<u8>, EngineError> {
    let bytes = std::fs::read(path).map_err(|source| EngineError::Read {
        path: path.to_owned(),
        source,
    })?;
    compare_size(path, entry, bytes.len() as u64)?;
    compare_hash(path, entry, &hex(&Sha256::digest(&bytes)))?;
    Ok(bytes)
}

fn compare_size(path: &Path, entry: &FileEntry, bytes: u64) -> Result<(), EngineError> {
    if bytes == entry.bytes {
        return Ok(());
    }
    Err(EngineError::Invalid {
        path: path.to_owned(),
        reason: format!("has {bytes} bytes, {FILE_MANIFEST} says {}", entry.bytes),
    })
}

fn compare_hash(path: &Path, entry: &FileEntry, sha256: &str) -> Result<(), EngineError> {
    if sha256.eq_ignore_ascii_case(&entry.sha256) {
        return Ok(());
    }
    Err(EngineError::Invalid {
        path: path.to_owned(),
        reason: format!("its SHA-256 is {sha256}, {FILE_MANIFEST} says {}", entry.sha256),
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
    use super::*;

    /// A folder whose manifest is right: `model.pt` holds three bytes, which is all that is looked at here.
    fn folder() -> (tempfile::TempDir, serde_json::Value) {
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

    fn open(dir: &tempfile::TempDir, manifest: &serde_json::Value) -> Result<ModelFolder, String> {
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
        type Change = fn(&mut serde_json::Value);
        let changes: [(Change, &str); 14] = [
            (|m| m["labels"][0] = "happy".into(), "labels"),
            (|m| m["labels"] = serde_json::json!([]), "labels"),
            (|m| m["input"]["width"] = 64.into(), "64"),
            (|m| m["input"]["std"] = 0.into(), "std"),
            (|m| m["input"]["std"] = 1e-320.into(), "beyond 32-bit floats"),
            (|m| m["input"]["mean"] = 1e300.into(), "beyond 32-bit floats"),
            (|m| m["input"] = serde_json::Value::Null, "not a model manifest"),
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
}
