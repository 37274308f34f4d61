//! The records of a run's epochs: a line of JSON and TensorBoard scalars for each.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::tensorboard::EventWriter;
use crate::{error::TrainError, output::write_file};

/// One line of JSON an epoch.
pub(crate) const METRICS: &str = "metrics.jsonl";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpochRecord {
    pub(crate) epoch: u32,
    /// Learning rate at its end.
    pub(crate) learning_rate: f64,
    /// Mean loss over augmented training views against their targets (nats).
    pub(crate) train_loss: f64,
    /// Accuracy on those views, 0–1.
    pub(crate) train_accuracy: f64,
    /// Accuracy of the averaged weights on the validation rows, 0–1.
    pub(crate) valid_accuracy: f64,
    pub(crate) valid_macro_f1: f64,
    pub(crate) valid_log_loss: f64,
    pub(crate) valid_ece: f64,
    /// Seconds of training steps since the run was last started.
    pub(crate) seconds: f64,
    pub(crate) images_per_second: f64,
    /// Whether its validation accuracy is above that of every epoch before.
    pub(crate) best: bool,
}

#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    file: File,
    events: EventWriter,
}

impl History {
    /// Opens the records of a run that has finished `epoch` epochs. Later records are dropped: they exist if the run
    /// was killed between a record and its checkpoint.
    pub(crate) fn open(out: &Path, epoch: u32) -> Result<Self, TrainError> {
        let path = out.join(METRICS);
        let kept: String = match fs::read_to_string(&path) {
            Ok(text) => text
                .lines()
                .filter(|l| serde_json::from_str::<EpochRecord>(l).is_ok_and(|r| r.epoch <= epoch))
                .fold(String::new(), |a, l| a + l + "\n"),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(TrainError::file(&path)(e)),
        };
        write_file(&path, kept.as_bytes())?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(TrainError::file(&path))?;
        let folder = out.join("tensorboard");
        let events = EventWriter::create(&folder, i64::from(epoch) + 1).map_err(TrainError::file(&folder))?;
        Ok(Self { path, file, events })
    }

    pub(crate) fn add(&mut self, record: &EpochRecord) -> Result<(), TrainError> {
        let mut write = || -> std::io::Result<()> {
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
        write().map_err(TrainError::file(&self.path))
    }
}

/// The epochs recorded in a `metrics.jsonl`, in order.
pub(crate) fn read_records(path: &Path) -> Result<Vec<EpochRecord>, TrainError> {
    let text = fs::read_to_string(path).map_err(TrainError::file(path))?;
    let invalid = TrainError::invalid(path);
    text.lines()
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_str(line)
                .map_err(|e| invalid(format!("line {}: not the record of an epoch: {e}", i + 1)))
        })
        .collect()
}
