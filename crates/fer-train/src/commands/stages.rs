//! The stages of a recipe: its teachers, one after the other, then the network that is distilled from them.

use std::path::{Path, PathBuf};

use crate::{
    data::Split,
    distill::{Teachers, folder},
    error::TrainError,
    export::{Finished, Identity, card, write_folder},
    output::say,
    recipe::{self, Recipe},
    run::{BEST, EpochRecord, LAST, METRICS, Run, fit, load_average, read_records, refuse_to_overwrite},
};
use fer_engine::{FILE_MANIFEST, FILE_SAFETENSORS, ModelFolder};

const MODEL: &str = "model";

/// Runs all stages and writes each network's model folder. Every teacher is a run of its own, in `teacher-1`, `teacher-2`, …
/// of `run.out`, with its own checkpoints; resuming skips those that are finished. `None` if it was stopped, after a line
/// that says where.
pub(super) fn run(
    split: &Split,
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
        // For all stages, before the first of them takes its hours.
        folders(&run.out, count).try_for_each(|out| refuse_to_overwrite(&out))?;
    }
    let stage = Stage {
        split,
        recipe,
        run,
        identity,
    };
    let mut models = Vec::new();
    let mut records = Vec::new();
    for which in 0..count {
        let out = folder(&run.out, which);
        let recipe = recipe.of_teacher(which);
        let (number, seed) = (which + 1, recipe.seed);
        say(&format!(
            "teacher {number} of {count}, seed {seed}, in {}",
            out.display()
        ));
        if run.resume && is_finished(&out, &recipe, split)? {
            say("finished before");
        } else {
            let run = Run {
                resume: run.resume && (which == 0 || out.join(LAST).exists()),
                out: out.clone(),
                ..run.clone()
            };
            let identity = Identity {
                // Cut so that the whole is no longer than a name may be.
                model_name: format!("{:.100}-teacher-{number}", identity.model_name),
                ..identity.clone()
            };
            let stage = Stage {
                recipe: &recipe,
                run: &run,
                identity: &identity,
                ..stage
            };
            if stage.run(&[], &mut Teachers::default())?.is_none() {
                return Ok(None);
            }
        }
        records.extend(read_records(&out.join(METRICS))?);
        models.push(out.join(MODEL));
    }
    let mut run = run.clone();
    if let Some(first) = models.first() {
        run.init = Some(first.join(FILE_SAFETENSORS));
        run.resume &= run.out.join(LAST).exists();
        say(&format!(
            "the student, distilled from the {count} teachers, in {}",
            run.out.display()
        ));
    }
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
    let mut teachers = Teachers::load(&models, run.device, threads)?;
    Stage { run: &run, ..stage }.run(&records, &mut teachers)
}

/// The folders of all stages of a run in `out`, in their order.
fn folders(out: &Path, teachers: u32) -> impl Iterator<Item = PathBuf> {
    let last = [out.to_owned()];
    (0..teachers).map(move |which| folder(out, which)).chain(last)
}

/// The records of all stages of a run in `out`; none if those of one stage are missing, because the time of the others is
/// not the run's.
pub(super) fn records(out: &Path, recipe: &Recipe) -> Result<Vec<EpochRecord>, TrainError> {
    let folders = folders(out, recipe.distillation.teachers);
    let files: Vec<_> = folders.map(|folder| folder.join(METRICS)).collect();
    let mut records = Vec::new();
    if files.iter().all(|f| f.is_file()) {
        for file in files {
            records.extend(read_records(&file)?);
        }
    }
    Ok(records)
}

/// Whether a teacher's model folder is complete; an error if it is of another recipe or other rows.
fn is_finished(out: &Path, recipe: &Recipe, split: &Split) -> Result<bool, TrainError> {
    let folder = out.join(MODEL);
    // `model.json` is written first, and a run that was killed then has neither int8 nor temperature yet; the card is last.
    if !folder.join(FILE_MANIFEST).exists() || !folder.join(card::FILE).exists() {
        return Ok(false);
    }
    let folder = ModelFolder::open(&folder)?;
    // Read as a recipe, so that fields that an earlier version did not have get their default. The student's settings may differ.
    let same_recipe = |value| {
        recipe::read(value).is_ok_and(|r| {
            let distillation = recipe.distillation.clone();
            Recipe { distillation, ..r } == *recipe
        })
    };
    let rows = split.fingerprint();
    let training = folder.manifest().training.known();
    if training.is_some_and(|t| t.rows.known == rows && same_recipe(&t.recipe)) {
        return Ok(true);
    }
    Err(TrainError::invalid(out)(
        "is a teacher of another recipe or of other rows; give the same flags as at its start".to_owned(),
    ))
}

struct Stage<'a> {
    split: &'a Split,
    recipe: &'a Recipe,
    run: &'a Run<'a>,
    identity: &'a Identity,
}

impl Stage<'_> {
    /// Trains and writes the model folder; `None` if it was stopped. `earlier` are the records of the stages before.
    fn run(&self, earlier: &[EpochRecord], teachers: &mut Teachers) -> Result<Option<()>, TrainError> {
        let out = &self.run.out;
        let Some(best) = fit(self.split, self.recipe, self.run, teachers)? else {
            return Ok(None);
        };
        say(&format!(
            "best: epoch {} with validation accuracy {:.4}",
            best.epoch, best.accuracy
        ));
        let (network, state) = load_average(&out.join(BEST))?;
        let records = [earlier, &read_records(&out.join(METRICS))?].concat();
        let finished = Finished {
            network: &network,
            state: &state,
            records: &records,
        };
        let Split { train, valid } = self.split;
        let model = out.join(MODEL);
        write_folder(&finished, self.identity, Some(valid), Some(train), &model)?;
        Ok(Some(()))
    }
}
