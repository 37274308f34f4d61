//! What a run shows and records: a progress bar (plain lines where there is no terminal), a line of JSON
//! and TensorBoard scalars an epoch.

use std::{
    fs::{self, File, OpenOptions},
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{TrainError, checkpoint::Sums, data::Dataset, tensorboard::EventWriter};
use fer_engine::{
    emotion::{CLASSES, Emotion},
    folder::{Rows, Scores},
};

/// One line of JSON an epoch.
pub const METRICS: &str = "metrics.jsonl";
/// How often a plain line is written where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(15);

/// What is recorded of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: u32,
    /// Learning rate at its end.
    pub learning_rate: f64,
    /// Mean loss over augmented training views against their targets (nats).
    pub train_loss: f64,
    /// Accuracy on those views, 0–1.
    pub train_accuracy: f64,
    /// Accuracy of the averaged weights on the validation rows, 0–1.
    pub valid_accuracy: f64,
    /// Macro-F1 there, 0–1.
    pub valid_macro_f1: f64,
    /// Log-loss there, nats.
    pub valid_log_loss: f64,
    /// Expected calibration error there, 0–1.
    pub valid_ece: f64,
    /// Time spent on its training steps since the run was last started, seconds.
    pub seconds: f64,
    /// Training images a second over that time.
    pub images_per_second: f64,
    /// Whether it validated better than every epoch before.
    pub best: bool,
}

impl EpochRecord {
    /// Puts the record together; `trained` rows took `seconds`.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn new(
        epoch: u32,
        learning_rate: f64,
        sums: &Sums,
        scores: &Scores,
        seconds: f64,
        trained: usize,
        best: bool,
    ) -> Self {
        let rows = sums.rows.max(1) as f64;
        Self {
            epoch,
            learning_rate,
            train_loss: sums.loss / rows,
            train_accuracy: sums.correct as f64 / rows,
            valid_accuracy: scores.accuracy,
            valid_macro_f1: scores.macro_f1,
            valid_log_loss: scores.log_loss,
            valid_ece: scores.ece,
            seconds,
            images_per_second: trained as f64 / seconds.max(1e-9),
            best,
        }
    }
}

/// The run's records on disk.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    file: File,
    events: EventWriter,
}

impl History {
    /// Opens the records of a run that has finished `epoch` epochs; records past that are dropped (the run
    /// was killed between a record and its checkpoint).
    ///
    /// # Errors
    /// [`TrainError::File`].
    pub fn open(out: &Path, epoch: u32) -> Result<Self, TrainError> {
        let path = out.join(METRICS);
        let kept: String = match fs::read_to_string(&path) {
            Ok(text) => text
                .lines()
                .filter(|l| is_up_to(l, epoch))
                .fold(String::new(), |a, l| a + l + "\n"),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(TrainError::file(&path)(e)),
        };
        fer_engine::files::replace(&path, |f| f.write_all(kept.as_bytes()))
            .map_err(TrainError::file(&path))?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(TrainError::file(&path))?;
        let folder = out.join("tensorboard");
        let events = EventWriter::create(&folder, i64::from(epoch) + 1).map_err(TrainError::file(&folder))?;
        Ok(Self { path, file, events })
    }

    /// Adds an epoch.
    ///
    /// # Errors
    /// [`TrainError::File`].
    pub fn add(&mut self, record: &EpochRecord) -> Result<(), TrainError> {
        let write = || -> std::io::Result<()> {
            let mut line = serde_json::to_vec(record)?;
            line.push(b'\n');
            self.file.write_all(&line)?;
            let step = i64::from(record.epoch);
            for (tag, value) in [
                ("train/loss", record.train_loss),
                ("train/accuracy", record.train_accuracy),
                ("train/learning_rate", record.learning_rate),
                ("train/images_per_second", record.images_per_second),
                ("valid/accuracy", record.valid_accuracy),
                ("valid/macro_f1", record.valid_macro_f1),
                ("valid/log_loss", record.valid_log_loss),
                ("valid/ece", record.valid_ece),
            ] {
                #[allow(clippy::cast_possible_truncation)]
                self.events.scalar(tag, value as f32, step)?;
            }
            self.events.flush()
        };
        let mut write = write;
        write().map_err(TrainError::file(&self.path))
    }
}

/// The epochs recorded in a `metrics.jsonl`, in order.
///
/// # Errors
/// [`TrainError::File`] if it cannot be read, [`TrainError::Invalid`] if a line is not a record.
pub fn read_records(path: &Path) -> Result<Vec<EpochRecord>, TrainError> {
    let text = fs::read_to_string(path).map_err(TrainError::file(path))?;
    text.lines()
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|e| TrainError::Invalid {
                path: path.to_owned(),
                reason: format!("line {}: not the record of an epoch: {e}", i + 1),
            })
        })
        .collect()
}

fn is_up_to(line: &str, epoch: u32) -> bool {
    serde_json::from_str::<EpochRecord>(line).is_ok_and(|r| r.epoch <= epoch)
}

/// Shows a run on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    epochs: u32,
    steps: usize,
    batch: usize,
    epoch: u32,
    done: usize,
    first: usize,
    started: Instant,
    written: Instant,
}

impl Progress {
    /// For a run of that many epochs of that many steps of that many rows.
    #[must_use]
    pub fn new(epochs: u32, steps: usize, batch: usize) -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some((steps * batch) as u64), ProgressDrawTarget::stderr());
            let template = "{prefix} {bar:30} {pos}/{len} images  {per_sec}  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            epochs,
            steps,
            batch,
            epoch: 0,
            done: 0,
            first: 0,
            started: now,
            written: now,
        }
    }

    /// An epoch begins, or goes on after `done` steps.
    pub fn start(&mut self, epoch: u32, done: usize) {
        self.epoch = epoch;
        self.done = done;
        self.first = done;
        self.started = Instant::now();
        self.written = self.started;
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
            bar.set_position((done * self.batch) as u64);
            bar.reset_elapsed();
        }
    }

    /// A step was done.
    #[allow(clippy::cast_precision_loss)]
    pub fn step(&mut self, sums: &Sums) {
        self.done += 1;
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = ((self.done - self.first) * self.batch) as f64 / seconds.max(1e-9);
        let to_go = (self.steps - self.done + (self.epochs - self.epoch) as usize * self.steps) * self.batch;
        let left = HumanDuration(Duration::from_secs_f64(to_go as f64 / rate.max(1e-9)));
        let rows = sums.rows.max(1) as f64;
        let (loss, accuracy) = (sums.loss / rows, sums.correct as f64 / rows);
        let message = format!("loss {loss:.3}  accuracy {accuracy:.3}  {left} left");
        if let Some(bar) = &self.bar {
            bar.set_position((self.done * self.batch) as u64);
            bar.set_message(message);
        } else if self.written.elapsed() >= PLAIN_EVERY {
            self.written = Instant::now();
            let (epoch, epochs, at, of) = (self.epoch, self.epochs, self.done, self.steps);
            say(&format!(
                "epoch {epoch}/{epochs}  step {at}/{of}  {rate:.0} images/s  {message}"
            ));
        }
    }

    /// An epoch was validated.
    pub fn epoch(&self, r: &EpochRecord) {
        let mark = if r.best { "  best so far" } else { "" };
        let line = format!(
            "epoch {}/{}  {:.0} s  {:.0} images/s  loss {:.4}  accuracy {:.4}  |  validation accuracy {:.4}  macro-F1 {:.4}  log-loss {:.4}{mark}",
            r.epoch,
            self.epochs,
            r.seconds,
            r.images_per_second,
            r.train_loss,
            r.train_accuracy,
            r.valid_accuracy,
            r.valid_macro_f1,
            r.valid_log_loss
        );
        match &self.bar {
            Some(bar) => bar.suspend(|| say(&line)),
            None => say(&line),
        }
    }
}

/// One line on standard error. A closed stream is no reason to stop a training run.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The fingerprint of a run's rows.
#[must_use]
pub fn rows(train: &Dataset, valid: &Dataset) -> Rows {
    let mut hasher = Sha256::new();
    for data in [train, valid] {
        for row in 0..data.len() {
            hasher.update(data.face(row));
            hasher.update([data.label(row) as u8]);
        }
        hasher.update(b"|");
    }
    let sha256 = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Rows {
        train: train.len(),
        valid: valid.len(),
        sha256,
    }
}

/// How many rows of each label, as one line: `angry 3985, disgust 439, …`.
#[must_use]
pub fn class_counts_line(counts: &[usize; CLASSES]) -> String {
    Emotion::ALL
        .iter()
        .zip(counts)
        .map(|(e, n)| format!("{e} {n}"))
        .collect::<Vec<_>>()
        .join(", ")
}
