//! `fer-train fit`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::stages;
use crate::{
    cli::FitArgs,
    data::{Split, class_counts_line, load_split},
    error::TrainError,
    export::int8,
    network::TrainingPrecision,
    output::say,
    recipe::Recipe,
    run::Run,
    score::overlap::Overlap,
};

/// Exit code of a command stopped with Ctrl-C, as shells give it.
const STOPPED: u8 = 130;

pub(crate) fn run_fit(args: &FitArgs) -> Result<u8, TrainError> {
    let recipe = args.recipe()?;
    let device = args.machine.apply()?;
    let precision = args.precision.resolve(device);
    let split = load_split(
        &args.train,
        args.valid.as_deref(),
        args.rows.skip_bad_rows,
        recipe.seed,
    )?;
    check_rows(&split)?;
    say(&plan(&split, &recipe, precision, device));
    crate::sys::keep_freed_memory();
    let stop = stop_on_signal()?;
    let run = Run {
        out: args.out.clone(),
        precision,
        device,
        checkpoint_every: Duration::from_secs(args.checkpoint_seconds),
        resume: args.resume,
        init: args.init.clone(),
        stop: &stop,
    };
    let finished = stages::run(&split, &recipe, &run, &args.identity)?;
    Ok(finished.map_or(STOPPED, |()| 0))
}

/// Says how many rows there are, and rejects validation rows that cannot be used, before the work of hours.
fn check_rows(split: &Split) -> Result<(), TrainError> {
    for (set, data) in [
        ("training rows  ", &split.train),
        ("validation rows", &split.valid),
    ] {
        let counts = class_counts_line(&data.class_counts());
        say(&format!("{set} {:>6}: {counts}", data.len()));
    }
    let overlap = Overlap::of(&split.valid, &split.train);
    if overlap.all() {
        return Err(TrainError::Usage(
            "every validation row has the face of a training row: choosing the epoch needs other rows"
                .to_owned(),
        ));
    }
    int8::check(&split.train, &split.valid)?;
    if overlap.count() > 0 {
        say(&format!(
            "*** {} of the validation rows have the face of a training row: on them the scores are too good",
            overlap.count()
        ));
    }
    Ok(())
}

fn plan(split: &Split, recipe: &Recipe, precision: TrainingPrecision, device: tch::Device) -> String {
    let teachers = match recipe.distillation.teachers {
        0 => String::new(),
        n => format!("{n} teachers of {} epochs, then ", recipe.epochs),
    };
    let last = recipe.last_stage();
    let batch = recipe.batch_size.min(split.train.len());
    format!(
        "{teachers}{} epochs of {} steps of {batch} rows, {} on {} with {} threads, seed {}",
        last.epochs,
        split.train.len() / batch,
        precision.name(),
        fer_engine::device_name(device),
        tch::get_num_threads(),
        recipe.seed
    )
}

fn stop_on_signal() -> Result<Arc<AtomicBool>, TrainError> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            // A second Ctrl-C stops at once; the last checkpoint is whole in any case.
            std::process::exit(i32::from(STOPPED));
        }
        say("stopping after this step (again to stop at once) …");
    })
    .map_err(|e| TrainError::Usage(format!("cannot handle Ctrl-C: {e}")))?;
    Ok(stop)
}
