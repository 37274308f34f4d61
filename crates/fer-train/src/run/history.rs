//! The records of a run's epochs: a line of JSON and TensorBoard scalars for each.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::tensorboard::EventWriter;
use crate::{error::TrainError, output::say};

/// One line of JSON an epoch.
pub(crate) const METRICS: &str = "metrics.jsonl";

/// The record of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpochRecord {
    /// From 1.
    pub(crate) epoch: u32,
    /// Learning rate at its end.
    pub(crate) learning_rate: f64,
    /// Mean loss over augmented training views against their targets (nats).
    pub(crate) train_loss: f64,
    /// Accuracy on those views, 0–1.
    pub(crate) train_accuracy: f64,
    /// Accuracy of the averaged weights on the validation rows, 0–1.
    pub(crate) valid_accuracy: f64,
    /// Macro-F1 there, 0–1.
    pub(crate) valid_macro_f1: f64,
    /// Log-loss there, nats.
    pub(crate) valid_log_loss: f64,
    /// Expected calibration error there, 0–1.
    pub(crate) valid_ece: f64,
    /// Seconds of training steps since the run was last started.
    pub(crate) seconds: f64,
    /// Training images per second over that time.
    pub(crate) images_per_second: f64,
    /// Whether its validation accuracy is above that of every epoch before.
    pub(crate) best: bool,
}

/// The run's records on disk.
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

fn is_up_to(line: &str, epoch: u32) -> bool {
    serde_json::from_str::<EpochRecord>(line).is_ok_and(|r| r.epoch <= epoch)
}

/// Adds the time that a run took to a model's `training`, unless it is there already (`fit` has counted all stages, of
/// which the records may be one), there are no records, or they are of another run: its best epoch must be among them.
pub(crate) fn note_time(training: &mut serde_json::Value, records: &[EpochRecord]) {
    if training.get("seconds").is_some() {
        return;
    }
    let best = (
        training["best"]["epoch"].as_u64(),
        training["best"]["accuracy"].as_f64(),
    );
    if let (Some(epoch), Some(accuracy)) = best
        && !records.is_empty()
        && !records
            .iter()
            .any(|r| u64::from(r.epoch) == epoch && (r.valid_accuracy - accuracy).abs() < 1e-9)
    {
        say("the records are of another run than the model: its training time is not taken from them");
        return;
    }
    if let (false, Some(object)) = (records.is_empty(), training.as_object_mut()) {
        let seconds: f64 = records.iter().map(|r| r.seconds).sum();
        object.insert("epochs_trained".to_owned(), records.len().into());
        object.insert("seconds".to_owned(), seconds.round().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u32, valid_accuracy: f64) -> EpochRecord {
        EpochRecord {
            epoch,
            learning_rate: 0.1,
            train_loss: 1.0,
            train_accuracy: 0.5,
            valid_accuracy,
            valid_macro_f1: 0.5,
            valid_log_loss: 1.0,
            valid_ece: 0.1,
            seconds: 30.0,
            images_per_second: 1.0,
            best: true,
        }
    }

    #[test]
    fn the_time_is_taken_from_the_models_own_run_only() {
        let training = || serde_json::json!({"best": {"epoch": 2, "accuracy": 0.6}});
        let mut own = training();
        note_time(&mut own, &[record(1, 0.5), record(2, 0.6), record(3, 0.55)]);
        assert_eq!(
            (&own["seconds"], &own["epochs_trained"]),
            (&90.0.into(), &3.into())
        );
        // What is there is of all stages.
        let counted = own.clone();
        note_time(&mut own, &[record(2, 0.6)]);
        assert_eq!(own, counted);
        for others in [vec![], vec![record(2, 0.5)], vec![record(1, 0.6)]] {
            let mut value = training();
            note_time(&mut value, &others);
            assert_eq!(value, training());
        }
    }
}
