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
    checkpoint::load_average,
    cli::{ExportArgs, FitArgs, PredictArgs, RowArgs},
    data::{Dataset, Options, Reader, Usage},
    export::{Finished, int8, write_folder},
    fit::Run,
    progress::{class_counts_line, say},
    score::{BATCH, classify, overlap::Overlap},
    stages,
};
use fer_engine::ModelFolder;

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
    let overlap = Overlap::of(&valid, &train);
    if overlap.all() {
        return Err(TrainError::Usage(
            "every validation row has the face of a training row: other rows are wanted to choose the epoch by"
                .to_owned(),
        ));
    }
    int8::check(&train, &valid)?;
    if overlap.count() > 0 {
        say(&format!(
            "*** {} of the validation rows have the face of a training row: on them the scores are too good",
            overlap.count()
        ));
    }
    let last = recipe.last_stage();
    let teachers = match recipe.distillation.teachers {
        0 => String::new(),
        n => {
            let epochs: Vec<_> = (0..n).map(|t| recipe.of_teacher(t).epochs.to_string()).collect();
            format!("{n} teachers of {} epochs, then ", epochs.join(", "))
        }
    };
    say(&format!(
        "{teachers}{} epochs of {} steps of {} rows, {} on {} with {} threads, seed {}",
        last.epochs,
        train.len() / recipe.batch_size.min(train.len()),
        recipe.batch_size.min(train.len()),
        precision.name(),
        fer_engine::device_name(device),
        tch::get_num_threads(),
        recipe.seed
    ));
    crate::sys::keep_freed_memory();
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
    let finished = stages::run(&train, &valid, &recipe, &run, &args.identity.identity())?;
    Ok(finished.map_or(STOPPED, |()| 0))
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
    let train = load_set(&args.train, Usage::Training, args.rows)?;
    match &args.valid {
        Some(path) => Ok((train, load_set(path, Usage::PublicTest, args.rows)?)),
        None if by_usage => Ok((train, load(&args.train, Some(Usage::PublicTest), args.rows)?)),
        None => Ok(train.hold_out(10, seed)?),
    }
}

/// The labelled rows of one set where the file has a `Usage` column, else all of them.
pub(super) fn load_set(path: &Path, usage: Usage, rows: RowArgs) -> Result<Dataset, TrainError> {
    let options = Options {
        skip_bad_rows: rows.skip_bad_rows,
    };
    let by_usage = Reader::open(path, options)?.has_usage();
    load(path, by_usage.then_some(usage), rows)
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
        .map(|p| load_set(p, Usage::PublicTest, args.rows))
        .transpose()?;
    let train = args
        .int8_data
        .as_deref()
        .map(|p| load_set(p, Usage::Training, args.rows))
        .transpose()?;
    if let (Some(data), Some(train)) = (&data, &train) {
        int8::check(train, data)?;
    }
    let (network, state) = load_average(&args.checkpoint)?;
    let records = stages::records(args.checkpoint.parent().unwrap_or(Path::new("")), &state.recipe)?;
    let finished = Finished {
        network: &network,
        state: &state,
        records: &records,
    };
    write_folder(
        &finished,
        &args.identity.identity(),
        data.as_ref(),
        train.as_ref(),
        &args.out,
    )?;
    Ok(0)
}

pub(super) fn print(text: &str) -> Result<(), TrainError> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        // The reader went away (`| head`): nothing more to say, nothing wrong.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(TrainError::file(Path::new("standard output"))),
    }
}
