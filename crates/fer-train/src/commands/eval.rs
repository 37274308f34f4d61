//! `fer-train eval`: scores, and what else is measured, drawn and written down with them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{
    cli::EvalArgs,
    data::{Dataset, Usage, load, load_set},
    error::TrainError,
    export::{card, note_time},
    output::{print, say},
    plots,
    run::{EpochRecord, METRICS, read_records},
    score::{
        logits,
        overlap::{Overlap, unseen_line},
        predictions, robustness,
        scores::{score, table},
        temperature,
    },
};
use fer_engine::{
    Chosen, Manifest, ModelFolder, TorchScript,
    folder::{Robustness, ScoreReport, Section},
};

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    report: &'a ScoreReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    robustness: Option<&'a Robustness>,
}

pub(crate) fn run_eval(args: &EvalArgs) -> Result<u8, TrainError> {
    let device = args.machine.apply()?;
    let mut folder = ModelFolder::open(&args.model)?;
    // Before the rows go through the network, which takes a while.
    let records = records(args)?;
    let data = load(&args.data, args.usage, args.rows.skip_bad_rows)?;
    if args.fit_temperature && data.len() < temperature::LEAST_ROWS {
        return Err(TrainError::Usage(format!(
            "--fit-temperature: {} rows are too few for a temperature, at least {} are needed",
            data.len(),
            temperature::LEAST_ROWS
        )));
    }
    let train = args
        .train
        .as_deref()
        .map(|p| load_set(p, Usage::Training, args.rows.skip_bad_rows))
        .transpose()?;
    if args.fit_temperature {
        folder = fit_temperature(args, &folder, &data, device)?;
    }
    let chosen = args.engine.choose(&folder, device)?;
    let rows = logits(&mut *chosen.engine()?, &data, Ok)?;
    let answers = predictions(&rows)?;
    let mut report = score(&answers);
    let overlap = train.as_ref().map(|train| (Overlap::of(&data, train), train));
    if let Some((overlap, _)) = &overlap {
        overlap.extend(&mut report, &answers);
    }
    let robustness = args
        .robustness
        .then(|| measure_robustness(&chosen, &data))
        .transpose()?;
    show(args.json, &report, robustness.as_ref())?;
    if let Some(to) = &args.plots {
        let manifest = folder.manifest();
        // The engine has divided the logits by the temperature.
        let undivided = || temperature::at_temperature(&rows, 1.0 / manifest.temperature());
        let uncalibrated = manifest
            .temperature_fit
            .as_ref()
            .map(|_| undivided())
            .transpose()?;
        let subject = plots::Subject {
            manifest,
            data: &data,
            predictions: &answers,
            uncalibrated: uncalibrated.as_deref(),
            report: &report,
            records: &records,
            robustness: robustness.as_ref(),
        };
        let written = plots::write(&subject, to)?;
        say(&format!("{} written to {}", written.join(", "), to.display()));
        if records.is_empty() {
            say("no learning curves: --metrics names the metrics.jsonl of a training run");
        }
    }
    // Recorded scores belong to one temperature: a new one replaces them.
    if args.record || args.fit_temperature {
        let mut manifest = folder.manifest().clone();
        manifest.scores = Section::Known(report);
        if let Some(robustness) = robustness {
            manifest.robustness = Section::Known(robustness);
        }
        if let Some(training) = manifest.training.known_mut() {
            if let Some((overlap, train)) = &overlap {
                overlap.note(training, train, &data);
            }
            note_time(training, &records);
        }
        write(&manifest, &args.model)?;
    }
    Ok(0)
}

fn show(json: bool, report: &ScoreReport, robustness: Option<&Robustness>) -> Result<(), TrainError> {
    if json {
        let text = serde_json::to_string(&Printed { report, robustness });
        return print(&text.map_err(|e| TrainError::Usage(format!("scores: {e}")))?);
    }
    print(&table(report))?;
    if let Some(line) = unseen_line(report) {
        print(&format!("\n{line}"))?;
    }
    robustness.map_or(Ok(()), |r| print(&format!("\n{}", robustness::table(r))))
}

/// Fits the temperature and writes it into `model.json` and the card. The scores there belong to another temperature
/// and are removed.
fn fit_temperature(
    args: &EvalArgs,
    folder: &ModelFolder,
    data: &Dataset,
    device: tch::Device,
) -> Result<ModelFolder, TrainError> {
    let rows = logits(&mut TorchScript::load(folder, device)?, data, Ok)?;
    let mut manifest = folder.manifest().clone();
    manifest.temperature_fit = temperature::fit(&rows)?;
    manifest.scores = Section::default();
    write(&manifest, &args.model)?;
    Ok(ModelFolder::open(&args.model)?)
}

fn write(manifest: &Manifest, folder: &Path) -> Result<(), TrainError> {
    manifest.write(folder)?;
    card::write(manifest, folder)
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
    robustness::measure(&mut *chosen.engine()?, data, |case| {
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
