//! A finished run's model folder: exported, scored, calibrated, described.

use std::{fs, path::Path};

use super::{Identity, card, int8};
use crate::{
    TrainError,
    data::Dataset,
    network::Network,
    output::say,
    run::{EpochRecord, State, save_network},
    score::{
        self,
        overlap::{Overlap, unseen_line},
        scores::{score, table},
        temperature,
    },
};
use fer_engine::{
    FILE_SAFETENSORS, FILE_TORCHSCRIPT, Manifest, ModelFolder, TorchScript,
    folder::{Kept, Section, Training},
    network::Folded,
    packed::FILE_QUANT_RANGES,
    save_torchscript,
};

pub(crate) struct Finished<'a> {
    /// Averaged, of the best epoch.
    pub(crate) network: &'a Network,
    pub(crate) state: &'a State,
    pub(crate) records: &'a [EpochRecord],
}

/// Writes `model.pt`, `model.safetensors` and `model.json`.
///
/// `model.json` is written last: the server refuses a folder without it or with other hashes, so an incomplete folder
/// is never served.
pub(crate) fn export(network: &Network, manifest: &mut Manifest, out: &Path) -> Result<(), TrainError> {
    fs::create_dir_all(out).map_err(TrainError::file(out))?;
    save_network(network, &out.join(FILE_SAFETENSORS))?;
    let folded: Vec<_> = network.weights()?.iter().map(Folded::from).collect();
    save_torchscript(&folded, &out.join(FILE_TORCHSCRIPT))?;
    for name in [FILE_TORCHSCRIPT, FILE_SAFETENSORS] {
        manifest.add_file(out, name)?;
    }
    Ok(manifest.write(out)?)
}

fn training(state: &State) -> Result<Training, TrainError> {
    let recipe =
        serde_json::to_value(&state.recipe).map_err(|e| TrainError::Usage(format!("recipe: {e}")))?;
    Ok(Training {
        recipe,
        seed: state.recipe.seed,
        precision: state.precision.clone(),
        rows: state.rows.clone().into(),
        best: state.best.map(Kept::from),
        started_from: match state.started_from.clone() {
            Some(from) => Section::Known(from.into()),
            None => Section::default(),
        },
        teachers: state.teachers.iter().flatten().cloned().map(Kept::from).collect(),
        ..Training::default()
    })
}

/// Exports, then scores the exported `model.pt` in float through libtorch, so that the recorded scores are those of the
/// file. `eval --record` replaces them by those of the engine that serves.
///
/// `data` are labelled rows to score and fit the temperature on; `train` are the training rows, which int8 is
/// calibrated on and `data` is compared with.
pub(crate) fn write_folder(
    finished: &Finished<'_>,
    identity: &Identity,
    data: Option<&Dataset>,
    train: Option<&Dataset>,
    out: &Path,
) -> Result<(), TrainError> {
    let Finished {
        network,
        state,
        records,
    } = finished;
    let mut training = training(state)?;
    note_time(&mut training, records);
    let mut manifest = Manifest::new(&identity.model_name, &identity.model_version, state.recipe.input);
    manifest.training = Section::Known(training);
    export(network, &mut manifest, out)?;
    let mut measured = None;
    if let Some(data) = data {
        // The manifest names no temperature yet: these are the network's own logits.
        let mut engine = TorchScript::load(&ModelFolder::open(out)?, tch::Device::Cpu)?;
        let logits = score::logits(&mut engine, data, Ok)?;
        manifest.temperature_fit = temperature::fit(&logits)?;
        let predictions = temperature::at_temperature(&logits, manifest.temperature())?;
        let mut report = score(&predictions);
        say(&table(&report));
        if let Some(train) = train {
            let overlap = Overlap::of(data, train);
            overlap.extend(&mut report, &predictions);
            if let Some(line) = unseen_line(&report) {
                say(&line);
            }
            if let Some(training) = manifest.training.known_mut() {
                overlap.note(training, train, data);
            }
        }
        manifest.scores = Section::Known(report);
        measured = Some((data, logits));
    }
    manifest.write(out)?;
    let folder = ModelFolder::open(out)?;
    match train {
        Some(train) => {
            let measured = measured.as_ref().map(|(data, logits)| (*data, logits.as_slice()));
            int8::write(&folder, train, measured, out)?;
        }
        None => int8::remove_foreign(&folder, out)?,
    }
    // Named only now: if the export stops before this line, the folder serves without int8.
    if out.join(FILE_QUANT_RANGES).exists() {
        manifest.add_file(out, FILE_QUANT_RANGES)?;
        manifest.write(out)?;
    }
    card::write(&manifest, out)?;
    say(&format!("model folder written to {}", out.display()));
    Ok(())
}

/// Adds how long a run took to its record. Nothing is added if the time is recorded already (`fit` counts all stages,
/// and `records` may be those of one), if there are no records, or if they are of another run: the best epoch must be
/// among them.
pub(crate) fn note_time(training: &mut Training, records: &[EpochRecord]) {
    if training.seconds.is_some() || records.is_empty() {
        return;
    }
    let is_best = |r: &EpochRecord| {
        training
            .best
            .as_ref()
            .is_none_or(|best| r.epoch == best.epoch && (r.valid_accuracy - best.accuracy).abs() < 1e-9)
    };
    if !records.iter().any(is_best) {
        say("the records are of another run than the model: its training time is not taken from them");
        return;
    }
    let seconds: f64 = records.iter().map(|r| r.seconds).sum();
    training.epochs_trained = Some(records.len());
    training.seconds = Some(seconds.round());
}

#[cfg(test)]
mod tests {
    use super::*;
    use fer_engine::folder::Best;

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
        let best = Best {
            epoch: 2,
            accuracy: 0.6,
        };
        let training = || Training {
            best: Some(best.into()),
            ..Training::default()
        };
        let mut own = training();
        note_time(&mut own, &[record(1, 0.5), record(2, 0.6), record(3, 0.55)]);
        assert_eq!((own.seconds, own.epochs_trained), (Some(90.0), Some(3)));
        // What is recorded already is of all stages.
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
