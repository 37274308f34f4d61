//! The stages of a recipe: its teachers, one after the other, then the network that learns from them.

use std::path::Path;

use serde::Deserialize;

use super::{
    TrainError,
    checkpoint::load_average,
    data::Dataset,
    export::{Finished, Identity, card, write_folder},
    fit::{BEST, LAST, Outcome, Run, fit},
    progress::{EpochRecord, METRICS, read_records, rows, say},
    recipe::Recipe,
    teachers::{self, Asked, Teachers},
};
use fer_engine::{FILE_MANIFEST, FILE_SAFETENSORS, ModelFolder};

/// Folder of the model in a run's.
const MODEL: &str = "model";

/// Goes through all stages and writes each network's model folder. Every teacher is a run of its own, in `teacher-1`, `teacher-2`,
/// … of `run.out`, with its own checkpoints; resuming passes over those that are finished. `None`: stopped, and
/// said where.
///
/// # Errors
/// As [`fit`], and what writing the model folders says.
pub(super) fn run(
    train: &Dataset,
    valid: &Dataset,
    recipe: &Recipe,
    run: &Run<'_>,
    identity: &Identity,
) -> Result<Option<()>, TrainError> {
    let count = recipe.distillation.teachers;
    if count > 0 && run.init.is_some() {
        return Err(TrainError::Usage(
            "--init starts one network, and this recipe trains several: give a recipe with {\"distillation\": {\"teachers\": 0}}"
                .to_owned(),
        ));
    }
    if !run.resume {
        // Of all stages, before the first of them takes its hours.
        (0..count)
            .map(|which| teachers::folder(&run.out, which))
            .chain([run.out.clone()])
            .try_for_each(|out| refuse_to_overwrite(&out))?;
    }
    let mut folders = Vec::new();
    let mut records = Vec::new();
    for which in 0..count {
        let out = teachers::folder(&run.out, which);
        let own = recipe.of_teacher(which);
        say(&format!(
            "teacher {} of {count}, seed {}, in {}",
            which + 1,
            own.seed,
            out.display()
        ));
        if run.resume && is_finished(&out, &own, train, valid)? {
            say("finished before");
        } else {
            let stage = Run {
                resume: run.resume && (which == 0 || out.join(LAST).exists()),
                out: out.clone(),
                ..run.clone()
            };
            let name = Identity {
                name: format!("{}-teacher-{}", identity.name, which + 1),
                version: identity.version.clone(),
            };
            let mut none = Teachers::default();
            if train_and_export(train, valid, &own, &stage, &mut none, &name, &[])?.is_none() {
                return Ok(None);
            }
        }
        records.extend(read_records(&out.join(METRICS))?);
        folders.push(out.join(MODEL));
    }
    let mut stage = run.clone();
    if let Some(first) = folders.first() {
        stage.init = Some(first.join(FILE_SAFETENSORS));
        stage.resume = run.resume && run.out.join(LAST).exists();
        say(&format!(
            "the network that learns from the {count}, in {}",
            run.out.display()
        ));
    }
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
    let asked = Asked {
        mirror: recipe.distillation.mirror,
        fine_only: recipe.distillation.by_labels as usize,
    };
    let mut teachers = Teachers::load(&folders, run.device, threads, asked)?;
    train_and_export(train, valid, recipe, &stage, &mut teachers, identity, &records)
}

/// Says whether a run may begin in a folder.
///
/// # Errors
/// [`TrainError::Usage`] if it holds one.
pub(super) fn refuse_to_overwrite(out: &Path) -> Result<(), TrainError> {
    if out.join(LAST).exists() {
        return Err(TrainError::Usage(format!(
            "{} holds a run already: go on with --resume, or choose another --out",
            out.display()
        )));
    }
    Ok(())
}

/// The records of all stages of a run in `out`; none if those of a stage are not there, since the others' time is not the run's.
///
/// # Errors
/// As [`read_records`].
pub(super) fn records(out: &Path, recipe: &Recipe) -> Result<Vec<EpochRecord>, TrainError> {
    let files: Vec<_> = (0..recipe.distillation.teachers)
        .map(|which| teachers::folder(out, which))
        .chain([out.to_owned()])
        .map(|folder| folder.join(METRICS))
        .collect();
    let mut records = Vec::new();
    if files.iter().all(|f| f.is_file()) {
        for file in files {
            records.extend(read_records(&file)?);
        }
    }
    Ok(records)
}

/// Whether a teacher's model folder is there and whole. `model.json` comes first, and a run that was killed after it has no int8
/// nor temperature yet; the card comes last.
///
/// # Errors
/// [`TrainError::Invalid`] if it is of another recipe or other rows.
fn is_finished(out: &Path, recipe: &Recipe, train: &Dataset, valid: &Dataset) -> Result<bool, TrainError> {
    let folder = out.join(MODEL);
    if !folder.join(FILE_MANIFEST).exists() || !folder.join(card::FILE).exists() {
        return Ok(false);
    }
    let folder = ModelFolder::open(&folder)?;
    // Compared as a recipe: fields that an earlier version did not have get their default. How the student is to be
    // trained does not matter.
    let same_recipe = |value| {
        Recipe::deserialize(value).is_ok_and(|r| {
            let distillation = recipe.distillation.clone();
            Recipe { distillation, ..r } == *recipe
        })
    };
    let rows = rows(train, valid);
    let training = folder.manifest().training.known();
    if training.is_some_and(|t| t.rows.known == rows && same_recipe(&t.recipe)) {
        return Ok(true);
    }
    Err(TrainError::Invalid {
        path: out.to_owned(),
        reason: "is a teacher of another recipe or of other rows; give the same flags as at its start"
            .to_owned(),
    })
}

/// One stage. `before` are the records of the stages before.
fn train_and_export(
    train: &Dataset,
    valid: &Dataset,
    recipe: &Recipe,
    run: &Run<'_>,
    teachers: &mut Teachers,
    identity: &Identity,
    before: &[EpochRecord],
) -> Result<Option<()>, TrainError> {
    match fit(train, valid, recipe, run, teachers)? {
        Outcome::Stopped { epoch, step } => {
            say(&format!(
                "stopped after epoch {epoch}, step {step}; {} holds it: the same command with --resume goes on",
                run.out.join(LAST).display()
            ));
            Ok(None)
        }
        Outcome::Finished(best) => {
            say(&format!(
                "best: epoch {} with validation accuracy {:.4}",
                best.epoch, best.accuracy
            ));
            let (network, state) = load_average(&run.out.join(BEST))?;
            let mut records = before.to_vec();
            records.extend(read_records(&run.out.join(METRICS))?);
            let out = run.out.join(MODEL);
            let finished = Finished {
                network: &network,
                state: &state,
                records: &records,
            };
            write_folder(&finished, identity, Some(valid), Some(train), &out)?;
            Ok(Some(()))
        }
    }
}
