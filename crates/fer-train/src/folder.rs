//! A checkpoint's model folder: exported, scored, calibrated, described.

use std::path::Path;

use super::{
    TrainError, card,
    checkpoint::State,
    commands::json,
    data::Dataset,
    eval::note_time,
    evaluate::Scores,
    export::{Identity, entry, export, write_manifest},
    measure,
    network::Network,
    progress::{EpochRecord, say},
    quantise,
    repeated::{Repeated, unseen_line},
    temperature::{self, calibration_line},
};
use fer_engine::{ModelFolder, Tempering, TorchScript, packed::FILE_QUANT_RANGES};

/// Exports, then scores the exported `model.pt` in float through libtorch, so that the scores written down are those of the file.
/// What int8 costs beside them is measured with its scales; `eval --record` replaces them by those of the engine that serves.
///
/// # Errors
/// What exporting, scoring or writing says.
pub(super) fn write_folder(
    network: &Network,
    state: &State,
    identity: &Identity,
    data: Option<&Dataset>,
    train: Option<&Dataset>,
    records: &[EpochRecord],
    out: &Path,
) -> Result<(), TrainError> {
    let mut manifest = export(network, state, identity, out)?;
    note_time(&mut manifest.training, records);
    let mut measured = None;
    if let Some(data) = data {
        // The manifest names no temperature yet: these are the network's own logits.
        let mut engine = TorchScript::load(&ModelFolder::open(out)?, tch::Device::Cpu)?;
        let logits = measure::logits(&mut engine, data, Ok)?;
        manifest.calibration = fitted_temperature(&logits)?;
        let predictions = temperature::probabilities(&logits, manifest.temperature())?;
        let scores = Scores::from_predictions(predictions.iter().copied());
        say(&scores.to_string());
        manifest.scores = json(&scores)?;
        if let Some(train) = train {
            let repeated = Repeated::of(data, train);
            let unseen = repeated.unseen(&predictions);
            if let Some(unseen) = &unseen {
                say(&unseen_line(repeated.count(), unseen));
            }
            repeated.extend(&mut manifest.scores, unseen.as_ref())?;
            repeated.note(&mut manifest.training, train, data);
        }
        measured = Some((data, logits));
    }
    write_manifest(&manifest, out)?;
    let folder = ModelFolder::open(out)?;
    match train {
        Some(train) => quantise::quantise(
            &folder,
            train,
            measured.as_ref().map(|(d, l)| (*d, l.as_slice())),
            out,
        )?,
        None => quantise::without(&folder, out)?,
    }
    // Named only now: as long as it is not, the folder serves without int8 if this is where it ends.
    if out.join(FILE_QUANT_RANGES).exists() {
        let calibration = entry(out, FILE_QUANT_RANGES)?;
        manifest.files.insert(FILE_QUANT_RANGES.to_owned(), calibration);
        write_manifest(&manifest, out)?;
    }
    card::write(&manifest, out)?;
    say(&format!("model folder written to {}", out.display()));
    Ok(())
}

/// The temperature of the rows, with a line on what it does; none if they are too few.
pub(super) fn fitted_temperature(logits: &temperature::Labelled) -> Result<Option<Tempering>, TrainError> {
    let fitted = temperature::fit(logits)?;
    match &fitted {
        Some(t) => say(&calibration_line(t)),
        None => say(&format!(
            "probabilities are not calibrated: {} rows are too few, {} are wanted",
            logits.len(),
            temperature::LEAST_ROWS
        )),
    }
    Ok(fitted)
}
