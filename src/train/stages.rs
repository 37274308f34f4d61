//! The stages of a recipe: its teachers, one after the other, then the network that learns from them.

use std::path::Path;

use serde::Deserialize;

use super::{
    TrainError,
    checkpoint::load_average,
    data::Dataset,
    export::Identity,
    fit::{BEST, LAST, Outcome, Run, fit},
    folder::write_folder,
    progress::{EpochRecord, METRICS, read_records, rows, say},
    recipe::Recipe,
    teachers::{self, Asked, Teachers},
};
use crate::engine::{FILE_MANIFEST, FILE_SAFETENSORS, ModelFolder};

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

/// Whether a teacher's model folder is there.
///
/// # Errors
/// [`TrainError::Invalid`] if it is of another recipe or other rows.
fn is_finished(out: &Path, recipe: &Recipe, train: &Dataset, valid: &Dataset) -> Result<bool, TrainError> {
    let folder = out.join(MODEL);
    if !folder.join(FILE_MANIFEST).exists() {
        return Ok(false);
    }
    let folder = ModelFolder::open(&folder)?;
    let training = &folder.manifest().training;
    // As a recipe, so that what an earlier version did not know of has its default. How its pupil is to be taught does not matter.
    let same_recipe = Recipe::deserialize(&training["recipe"]).is_ok_and(|r| {
        let distillation = recipe.distillation.clone();
        Recipe { distillation, ..r } == *recipe
    });
    let wanted = serde_json::to_value(rows(train, valid));
    if same_recipe && wanted.is_ok_and(|rows| training["rows"] == rows) {
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
            write_folder(
                &network,
                &state,
                identity,
                Some(valid),
                Some(train),
                &records,
                &out,
            )?;
            Ok(Some(()))
        }
    }
}
