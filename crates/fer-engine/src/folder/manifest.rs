//! `model.json`.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::{Component, Path},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{FILE_MANIFEST, FILE_MAX, FILE_TORCHSCRIPT, Kept, Robustness, ScoreReport, Section, Training};
use crate::{EngineError, TemperatureFit, emotion::Emotion, files};
use fer_image::SIDE;

/// The format of `model.json` that this version writes, and the newest that it reads. It rises with a change that
/// older versions would misunderstand; a new field that they may pass over is none.
const FORMAT: u32 = 1;

/// Most characters of a model's name, and of its version.
const NAME_MAX: usize = 128;

/// `model.json`. Fields that this version does not know are kept at every level when it is written again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// At most [`FORMAT`]. Folders from before the field existed have format 1.
    #[serde(default = "first_format")]
    pub format: u32,
    /// The model's name in answers and on `/v2`: 1 to 128 printable characters.
    pub name: String,
    /// Its version, of the same form.
    pub version: String,
    /// The labels in the order of the output; must be those of [`Emotion::ALL`].
    pub labels: Vec<String>,
    /// What goes in.
    pub input: Kept<InputSpec>,
    /// The weight files, and `model.int8.json` if there is one.
    pub files: BTreeMap<String, Kept<FileEntry>>,
    /// The temperature that calibrates the probabilities; without it they are the plain softmax.
    #[serde(rename = "calibration", default, skip_serializing_if = "Option::is_none")]
    pub temperature_fit: Option<Kept<TemperatureFit>>,
    /// The training run, as `fer-train` wrote it.
    #[serde(default)]
    pub training: Section<Training>,
    /// The scores that `fer-train eval` measured.
    #[serde(default)]
    pub scores: Section<ScoreReport>,
    /// What `fer-train eval --robustness` measured, if it was recorded.
    #[serde(default, skip_serializing_if = "Section::is_null")]
    pub robustness: Section<Robustness>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

const fn first_format() -> u32 {
    1
}

impl Manifest {
    /// A manifest without files, temperature and records.
    #[must_use]
    pub fn new(name: &str, version: &str, input: InputSpec) -> Self {
        Self {
            format: FORMAT,
            name: name.to_owned(),
            version: version.to_owned(),
            labels: Emotion::ALL.map(|e| e.name().to_owned()).to_vec(),
            input: input.into(),
            files: BTreeMap::new(),
            temperature_fit: None,
            training: Section::default(),
            scores: Section::default(),
            robustness: Section::default(),
            extra: Map::new(),
        }
    }

    /// What logits are divided by, 1 where nothing was fitted.
    #[must_use]
    pub fn temperature(&self) -> f64 {
        self.temperature_fit.as_ref().map_or(1.0, |t| t.temperature)
    }

    /// Reads the text of a `model.json` and checks it, but not the files that it names.
    ///
    /// # Errors
    /// A sentence: it is not such a text, of a newer format, names other labels or another input size, or a file by
    /// a path.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        /// Read before the rest, which a newer format may have changed.
        #[derive(Deserialize)]
        struct Format {
            #[serde(default = "first_format")]
            format: u32,
        }
        let not_one = |e| format!("not a model manifest: {e}");
        let Format { format } = serde_json::from_slice(text).map_err(not_one)?;
        if !(first_format()..=FORMAT).contains(&format) {
            return Err(format!(
                "has format {format}, and this version reads formats up to {FORMAT}: update this program, or export the \
                 model again with the fer-train of this version"
            ));
        }
        let manifest = serde_json::from_slice(text).map_err(not_one)?;
        check_manifest(&manifest)?;
        Ok(manifest)
    }

    /// Names a file of the folder, with the size and hash that it has now.
    ///
    /// # Errors
    /// [`EngineError::Read`].
    pub fn add_file(&mut self, folder: &Path, name: &str) -> Result<(), EngineError> {
        let entry = FileEntry::of(&folder.join(name))?;
        self.files.insert(name.to_owned(), entry.into());
        Ok(())
    }

    /// Writes it into the folder as `model.json`.
    ///
    /// # Errors
    /// [`EngineError::Write`].
    pub fn write(&self, folder: &Path) -> Result<(), EngineError> {
        write_json(self, &folder.join(FILE_MANIFEST))
    }
}

/// Writes a JSON file of the model folder; a failure leaves the file that was there.
///
/// # Errors
/// [`EngineError::Write`].
pub fn write_json(value: &impl Serialize, path: &Path) -> Result<(), EngineError> {
    files::replace(path, |f| -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *f, value)?;
        f.write_all(b"\n")
    })
    .map_err(|source| EngineError::Write {
        path: path.to_owned(),
        source,
    })
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
        let [_, black, white] = scaled;
        if (black - white).abs() < f32::MIN_POSITIVE {
            return Err("input scaling makes black and white the same 32-bit float".to_owned());
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

impl FileEntry {
    /// Of a file as it is now.
    ///
    /// # Errors
    /// [`EngineError::Read`].
    pub fn of(path: &Path) -> Result<Self, EngineError> {
        let (file, _) = files::open(path, FILE_MAX).map_err(|e| EngineError::unread(path, e))?;
        Self::of_reader(file, |_| {}).map_err(|e| EngineError::unread(path, e.into()))
    }

    /// Of all that a reader gives; `see` gets it piece by piece.
    pub(super) fn of_reader(mut reader: impl Read, mut see: impl FnMut(&[u8])) -> io::Result<Self> {
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        let mut piece = vec![0; 1 << 16];
        loop {
            let count = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let read = piece.get(..count).unwrap_or_default();
            hash.update(read);
            see(read);
            bytes += count as u64;
        }
        let sha256 = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { sha256, bytes })
    }
}

fn check_manifest(m: &Manifest) -> Result<(), String> {
    let labels = Emotion::ALL.map(Emotion::name);
    if m.labels != labels {
        return Err(format!("labels are {:?}; wanted {labels:?}", m.labels));
    }
    m.input.check()?;
    m.temperature_fit.as_ref().map_or(Ok(()), |t| t.check())?;
    for (field, text) in [("name", &m.name), ("version", &m.version)] {
        check_name(text).map_err(|reason| format!("`{field}` {reason}"))?;
    }
    // Any other name would reach outside the folder, or be the folder.
    if let Some(bad) = m.files.keys().find(|f| !is_plain(f)) {
        return Err(format!("file name {bad:?} is not a plain name"));
    }
    if !m.files.contains_key(FILE_TORCHSCRIPT) {
        return Err(format!("`files` does not name {FILE_TORCHSCRIPT}"));
    }
    Ok(())
}

/// Checks the name or the version of a model, which answers, log lines and metrics show.
///
/// # Errors
/// The rest of a sentence if it is not 1 to 128 printable characters.
pub fn check_name(text: &str) -> Result<(), String> {
    let expected = format!("must have 1 to {NAME_MAX} printable characters");
    match text.chars().count() {
        n if !(1..=NAME_MAX).contains(&n) => Err(format!("{expected}; it has {n}")),
        _ => match text.chars().find(|c| !is_printable(*c)) {
            Some(c) => Err(format!("{expected}; {c:?} is not one")),
            None => Ok(()),
        },
    }
}

/// Control characters, line separators and marks that change the direction of text are not.
fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().eq([c])
}

/// Whether a name is that of a file in the folder itself.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let plain = matches!(parts.next(), Some(Component::Normal(first)) if first == name);
    plain && parts.next().is_none() && !name.contains(['\\', '\0'])
}
