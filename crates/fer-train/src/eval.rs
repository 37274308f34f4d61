//! `fer-train eval`: scores, and what else is measured, drawn and written down with them.

use std::path::{Path, PathBuf};

use super::{
    TrainError, card,
    cli::EvalArgs,
    data::{Dataset, Usage, load, load_set},
    evaluate::Scores,
    export::write_manifest,
    folder::fitted_temperature,
    measure,
    output::{json, print, say},
    plots,
    repeated::{Repeated, unseen_line},
    robustness::Robustness,
    run::{EpochRecord, METRICS, note_time, read_records},
    temperature::LEAST_ROWS,
};
use fer_engine::{
    Chosen, ModelFolder, TorchScript,
    emotion::{Emotion, Probabilities},
    temper,
};

/// Scores a model folder through the engine that serves it.
pub(crate) fn run_eval(args: &EvalArgs) -> Result<u8, TrainError> {
    let device = args.machine.apply()?;
    let mut folder = ModelFolder::open(&args.model)?;
    // Before the rows go through the network, which takes a while.
    let records = records(args)?;
    let data = load(&args.data, args.usage, args.rows.options())?;
    if args.fit_temperature && data.len() < LEAST_ROWS {
        return Err(TrainError::Usage(format!(
            "--fit-temperature: {} rows are too few for a temperature; at least {LEAST_ROWS} are needed",
            data.len()
        )));
    }
    let train = args
        .train
        .as_deref()
        .map(|p| load_set(p, Usage::Training, args.rows.options()))
        .transpose()?;
    if args.fit_temperature {
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
    if args.record || args.fit_temperature {
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
