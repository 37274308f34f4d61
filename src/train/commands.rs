//! What `fer-train`'s subcommands do.

use std::{
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    TrainError,
    checkpoint::{State, load_average},
    cli::{ExportArgs, FitArgs, IdentityArgs, PredictArgs, RowArgs},
    data::{Dataset, Options, Reader, Usage},
    eval::note_time,
    evaluate::Scores,
    export::{Identity, export, write_manifest},
    fit::{BEST, LAST, Outcome, Run, fit},
    measure::{self, BATCH, classify},
    network::Network,
    progress::{EpochRecord, METRICS, class_counts_line, read_records, say},
    quantise,
    temperature::{self, calibration_line},
};
use crate::engine::{ModelFolder, Tempering, TorchScript};

/// Exit code of a command stopped with Ctrl-C, as shells give it.
const STOPPED: u8 = 130;

/// Trains, then writes the model folder `out/model`.
///
/// # Errors
/// [`TrainError`].
pub fn run_fit(args: &FitArgs) -> Result<u8, TrainError> {
    let recipe = args.recipe()?;
    let device = args.machine.apply()?;
    let precision = args.precision.resolve(device);
    let (train, valid) = load_split(args, recipe.seed)?;
    say(&format!(
        "training rows   {:>6}: {}",
        train.len(),
        class_counts_line(&train.class_counts())
    ));
    say(&format!(
        "validation rows {:>6}: {}",
        valid.len(),
        class_counts_line(&valid.class_counts())
    ));
    say(&format!(
        "{} epochs of {} steps of {} rows, {} on {} with {} threads, seed {}",
        recipe.all_epochs(),
        train.len() / recipe.batch_size.min(train.len()),
        recipe.batch_size.min(train.len()),
        precision.name(),
        crate::engine::device_name(device),
        tch::get_num_threads(),
        recipe.seed
    ));
    crate::memory::keep();
    let stop = stop_on_signal()?;
    let run = Run {
        out: args.out.clone(),
        precision,
        device,
        checkpoint_every: args.checkpoint_every(),
        resume: args.resume,
        init: args.init.clone(),
        stop: &stop,
    };
    match fit(&train, &valid, &recipe, &run)? {
        Outcome::Stopped { epoch, step } => {
            say(&format!(
                "stopped after epoch {epoch}, step {step}; {} holds it: the same command with --resume goes on",
                args.out.join(LAST).display()
            ));
            Ok(STOPPED)
        }
        Outcome::Finished(best) => {
            say(&format!(
                "best: epoch {} with validation accuracy {:.4}",
                best.epoch, best.accuracy
            ));
            let (network, state) = load_average(&args.out.join(BEST))?;
            write_folder(
                &network,
                &state,
                &args.identity,
                Some(&valid),
                Some(&train),
                &read_records(&args.out.join(METRICS))?,
                &args.out.join("model"),
            )?;
            Ok(0)
        }
    }
}

fn stop_on_signal() -> Result<Arc<AtomicBool>, TrainError> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            // A second Ctrl-C means now; the last checkpoint is whole in any case.
            std::process::exit(i32::from(STOPPED));
        }
        say("stopping after this step (again to stop at once) …");
    })
    .map_err(|e| TrainError::Usage(format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(stop)
}

/// The training and validation rows the flags mean.
fn load_split(args: &FitArgs, seed: u64) -> Result<(Dataset, Dataset), TrainError> {
    let options = Options {
        skip_bad_rows: args.rows.skip_bad_rows,
    };
    let by_usage = Reader::open(&args.train, options)?.has_usage();
    let train = load(&args.train, by_usage.then_some(Usage::Training), args.rows)?;
    match &args.valid {
        Some(path) => {
            let by_usage = Reader::open(path, options)?.has_usage();
            Ok((
                train,
                load(path, by_usage.then_some(Usage::PublicTest), args.rows)?,
            ))
        }
        None if by_usage => Ok((train, load(&args.train, Some(Usage::PublicTest), args.rows)?)),
        None => Ok(train.hold_out(10, seed)?),
    }
}

/// Reads labelled rows and says what was left out.
pub(super) fn load(path: &Path, usage: Option<Usage>, rows: RowArgs) -> Result<Dataset, TrainError> {
    let data = Dataset::load(
        path,
        usage,
        Options {
            skip_bad_rows: rows.skip_bad_rows,
        },
    )?;
    let skipped = data.skipped();
    if skipped.count > 0 {
        say(&format!(
            "{}: {} bad rows left out, the first:",
            path.display(),
            skipped.count
        ));
        for message in &skipped.first {
            say(&format!("  {message}"));
        }
    }
    Ok(data)
}

pub(super) fn json(scores: &impl serde::Serialize) -> Result<serde_json::Value, TrainError> {
    serde_json::to_value(scores).map_err(|e| TrainError::Usage(format!("scores: {e}")))
}

/// Fills in `emotion` for a CSV that has only `pixels`.
///
/// # Errors
/// [`TrainError`].
pub fn run_predict(args: &PredictArgs) -> Result<u8, TrainError> {
    let device = args.machine.apply()?;
    let mut engine = args
        .engine
        .choose(&ModelFolder::open(&args.model)?, device)?
        .engine()?;
    let rows = super::data::write_predictions(&args.data, &args.out, BATCH, |faces| {
        classify(&mut *engine, faces)
    })?;
    say(&format!("{rows} rows written to {}", args.out.display()));
    Ok(0)
}

/// Writes the model folder of a checkpoint.
///
/// # Errors
/// [`TrainError`].
pub fn run_export(args: &ExportArgs) -> Result<u8, TrainError> {
    // Bound before the export: a bad CSV is found out before anything is written.
    args.machine.apply()?;
    let data = args
        .data
        .as_deref()
        .map(|p| load(p, None, args.rows))
        .transpose()?;
    let train = args
        .calibrate
        .as_deref()
        .map(|p| {
            let options = Options {
                skip_bad_rows: args.rows.skip_bad_rows,
            };
            let by_usage = Reader::open(p, options)?.has_usage();
            load(p, by_usage.then_some(Usage::Training), args.rows)
        })
        .transpose()?;
    let (network, state) = load_average(&args.checkpoint)?;
    let records = args.checkpoint.with_file_name(METRICS);
    let records = if records.is_file() {
        read_records(&records)?
    } else {
        Vec::new()
    };
    write_folder(
        &network,
        &state,
        &args.identity,
        data.as_ref(),
        train.as_ref(),
        &records,
        &args.out,
    )?;
    Ok(0)
}

/// Exports, then scores what was exported through the serving engine, so that the scores written down are
/// those of the files.
fn write_folder(
    network: &Network,
    state: &State,
    identity: &IdentityArgs,
    data: Option<&Dataset>,
    train: Option<&Dataset>,
    records: &[EpochRecord],
    out: &Path,
) -> Result<(), TrainError> {
    let identity = Identity {
        name: identity.model_name.clone(),
        version: identity.model_version.clone(),
    };
    let mut manifest = export(network, state, &identity, out)?;
    note_time(&mut manifest.training, records);
    let mut measured = None;
    if let Some(data) = data {
        // The manifest names no temperature yet: these are the network's own logits.
        let mut engine = TorchScript::load(&ModelFolder::open(out)?, tch::Device::Cpu)?;
        let logits = measure::logits(&mut engine, data, Ok)?;
        manifest.calibration = fitted_temperature(&logits)?;
        let scores = Scores::from_predictions(temperature::probabilities(&logits, manifest.temperature())?);
        say(&scores.to_string());
        manifest.scores = json(&scores)?;
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
    super::card::write(&manifest, out)?;
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

pub(super) fn print(text: &str) -> Result<(), TrainError> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        // The reader went away (`| head`): nothing more to say, nothing wrong.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(TrainError::file(Path::new("standard output"))),
    }
}
