//! `fer-train eval`: scores, and what else is measured, drawn and written down with them.

use std::path::{Path, PathBuf};

use super::{
    TrainError, card,
    cli::{EvalArgs, UsageArg},
    commands::{json, load, load_set, print},
    data::{Dataset, Usage},
    evaluate::Scores,
    export::write_manifest,
    folder::fitted_temperature,
    measure, plots,
    progress::{EpochRecord, METRICS, read_records, say},
    repeated::{Repeated, unseen_line},
    robustness::Robustness,
    temperature::LEAST_ROWS,
};
use fer_engine::{
    Chosen, ModelFolder, TorchScript,
    emotion::{Emotion, Probabilities},
    temper,
};

/// Scores a model folder through the engine that serves it.
///
/// # Errors
/// [`TrainError`].
pub fn run_eval(args: &EvalArgs) -> Result<u8, TrainError> {
    let usage = args.usage.map(|u| match u {
        UsageArg::Training => Usage::Training,
        UsageArg::PublicTest => Usage::PublicTest,
        UsageArg::PrivateTest => Usage::PrivateTest,
    });
    let device = args.machine.apply()?;
    let mut folder = ModelFolder::open(&args.model)?;
    // Before the rows go through the network, which takes a while.
    let records = records(args)?;
    let data = load(&args.data, usage, args.rows)?;
    if args.calibrate && data.len() < LEAST_ROWS {
        return Err(TrainError::Usage(format!(
            "--calibrate: {} rows are too few for a temperature, {LEAST_ROWS} are wanted",
            data.len()
        )));
    }
    let train = args
        .train
        .as_deref()
        .map(|p| load_set(p, Usage::Training, args.rows))
        .transpose()?;
    if args.calibrate {
        folder = calibrate(args, &folder, &data, device)?;
    }
    let temperature = folder.manifest().temperature();
    let chosen = args.engine.choose(&folder, device)?;
    let logits = measure::logits(&mut *chosen.engine()?, &data, Ok)?;
    let predictions = measure::to_probabilities(&logits)?;
    let scores = Scores::from_predictions(predictions.iter().copied());
    let mut recorded = json(&scores)?;
    let repeated = train.as_ref().map(|train| Repeated::of(&data, train));
    let unseen = repeated.as_ref().and_then(|r| r.unseen(&predictions));
    if let Some(repeated) = &repeated {
        repeated.extend(&mut recorded, unseen.as_ref())?;
    }
    let robustness = args
        .robustness
        .then(|| measure_robustness(&chosen, &data))
        .transpose()?;
    if args.json {
        let mut value = recorded.clone();
        if let (Some(r), Some(object)) = (&robustness, value.as_object_mut()) {
            object.insert("robustness".to_owned(), json(r)?);
        }
        print(&value.to_string())?;
    } else {
        print(&scores.to_string())?;
        if let (Some(repeated), Some(unseen)) = (&repeated, &unseen) {
            print(&format!("\n{}", unseen_line(repeated.count(), unseen)))?;
        }
        if let Some(r) = &robustness {
            print(&format!("\n{r}"))?;
        }
    }
    if let Some(to) = &args.plots {
        let untempered: Option<Vec<(Emotion, Probabilities)>> = folder
            .manifest()
            .calibration
            .map(|_| {
                let raw = temper(logits.iter().map(|l| l.1).collect(), 1.0 / temperature);
                let rows: Vec<_> = logits.iter().map(|l| l.0).zip(raw).collect();
                measure::to_probabilities(&rows)
            })
            .transpose()?;
        let written = plots::write(
            &plots::Subject {
                manifest: folder.manifest(),
                data: &data,
                predictions: &predictions,
                untempered: untempered.as_deref(),
                scores: &scores,
                records: &records,
                robustness: robustness.as_ref(),
            },
            to,
        )?;
        say(&format!("{} written to {}", written.join(", "), to.display()));
        if records.is_empty() {
            say("no learning curves: --metrics names the metrics.jsonl of a training run");
        }
    }
    // The old scores are of the old temperature: they do not outlive it.
    if args.record || args.calibrate {
        let mut manifest = folder.manifest().clone();
        manifest.scores = recorded;
        if let (Some(repeated), Some(train)) = (&repeated, &train) {
            repeated.note(&mut manifest.training, train, &data);
        }
        if let Some(r) = &robustness {
            manifest.robustness = json(r)?;
        }
        note_time(&mut manifest.training, &records);
        write_manifest(&manifest, &args.model)?;
        card::write(&manifest, &args.model)?;
    }
    Ok(0)
}

/// Fits the temperature and writes it into `model.json` and the card. The scores there are of another temperature and go.
fn calibrate(
    args: &EvalArgs,
    folder: &ModelFolder,
    data: &Dataset,
    device: tch::Device,
) -> Result<ModelFolder, TrainError> {
    let mut network = TorchScript::load(folder, device)?;
    let logits = measure::logits(&mut network, data, Ok)?;
    let mut manifest = folder.manifest().clone();
    manifest.calibration = fitted_temperature(&logits)?;
    manifest.scores = serde_json::Value::Null;
    write_manifest(&manifest, &args.model)?;
    card::write(&manifest, &args.model)?;
    Ok(ModelFolder::open(&args.model)?)
}

/// Through the engine that gave the scores.
fn measure_robustness(chosen: &Chosen, data: &Dataset) -> Result<Robustness, TrainError> {
    let info = chosen.info();
    say(&format!(
        "robustness: {} rows through {} {}",
        data.len(),
        info.engine,
        info.precision
    ));
    Robustness::measure(&mut *chosen.engine()?, data, |case| {
        say(&format!("  {}: {:.4}", case.change, case.accuracy));
    })
}

/// The epochs of the run that `--metrics` names, or whose records lie in or beside the model folder; else none.
fn records(args: &EvalArgs) -> Result<Vec<EpochRecord>, TrainError> {
    if let Some(path) = &args.metrics {
        return read_records(path);
    }
    let beside = |folder: &Path| -> Option<PathBuf> {
        let path = folder.join(METRICS);
        path.is_file().then_some(path)
    };
    beside(&args.model)
        .or_else(|| args.model.parent().and_then(beside))
        .map_or(Ok(Vec::new()), |path| read_records(&path))
}

/// Writes how long a run took into what is said of its training; nothing if that is said already (`fit` has counted all stages, of
/// which records may be one), if there are no records, or they are of another run: its best epoch must be among them.
pub(super) fn note_time(training: &mut serde_json::Value, records: &[EpochRecord]) {
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
