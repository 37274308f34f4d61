//! The training loop.

use std::{path::Path, sync::atomic::Ordering, time::Instant};

use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use tch::Kind;

use super::{
    Run,
    checkpoint::{Checkpoint, State, Sums, load_network},
    history::{EpochRecord, History},
    progress::Progress,
    step::Steps,
};
use crate::{
    augment::{plain, seed_for},
    data::{Dataset, Split},
    distill::{SoftLabels, Teachers},
    error::TrainError,
    network::{Network, to_batch},
    optim::Optimiser,
    output::say,
    recipe::Recipe,
    score::scores::score,
};
use fer_engine::{
    InputSpec,
    emotion::{Emotion, Probabilities},
    folder::{Best, Provenance, Scores},
};
use fer_image::PIXELS;

/// The checkpoint that a resumed run goes on from.
pub(crate) const LAST: &str = "last.safetensors";
/// The checkpoint of the epoch with the best validation accuracy.
pub(crate) const BEST: &str = "best.safetensors";

/// Trains a network by the recipe's last stage, validates its averaged weights after every epoch, and keeps the best epoch.
/// `teachers` are those of that stage; none where the recipe has none. `None` if it was stopped from outside, after a line
/// that says where; [`LAST`] then holds its state.
///
/// A run that is stopped and resumed passes through the same weights, bit for bit, as one that is not: all randomness
/// follows from seed, epoch and step alone, and the order of additions from the thread count.
pub(crate) fn fit(
    split: &Split,
    recipe: &Recipe,
    run: &Run<'_>,
    teachers: &mut Teachers,
) -> Result<Option<Best>, TrainError> {
    std::fs::create_dir_all(&run.out).map_err(TrainError::file(&run.out))?;
    let last = run.out.join(LAST);
    let mut at = if run.resume {
        resume(&last, split, recipe, run)?
    } else {
        start(split, recipe, run)?
    };
    at.state.learns_from(&teachers.origins, &last)?;
    let mut history = History::open(&run.out, at.state.epoch)?;
    let recipe = at.state.recipe.last_stage();
    let rows = split.train.len();
    let batch = recipe.batch_size.min(rows);
    let per_epoch = rows / batch;
    let steps = Steps::new(&split.train, &recipe, per_epoch, run)?;
    let mut progress = Progress::new(recipe.epochs, per_epoch, batch);
    let mut saved = Instant::now();
    while at.state.epoch < recipe.epochs {
        let epoch = at.state.epoch + 1;
        let order = shuffled(rows, recipe.seed, epoch);
        let started = Instant::now();
        let first_step = at.state.step;
        progress.start(epoch, first_step);
        while at.state.step < per_epoch {
            let batch_rows = &order[at.state.step * batch..][..batch];
            steps.step(&mut at, batch_rows, teachers)?;
            progress.step(&at.state.sums);
            let stop = run.stop.load(Ordering::Relaxed);
            if stop || saved.elapsed() >= run.checkpoint_every {
                at.save(&last)?;
                saved = Instant::now();
            }
            if stop {
                // Ends the bar's line.
                drop(progress);
                say(&format!(
                    "stopped after epoch {}, step {}; the state is in {}: the same command with --resume goes on",
                    at.state.epoch,
                    at.state.step,
                    last.display()
                ));
                return Ok(None);
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        let scores = validate(&at.average, &split.valid, &recipe.input)?;
        let sums = std::mem::take(&mut at.state.sums);
        let accuracy = scores.accuracy;
        let better = at.state.best.is_none_or(|b| accuracy > b.accuracy);
        at.state.epoch = epoch;
        at.state.step = 0;
        if better {
            at.state.best = Some(Best { epoch, accuracy });
            at.save(&run.out.join(BEST))?;
        }
        let steps_done = u64::from(epoch) * per_epoch as u64;
        #[allow(clippy::cast_precision_loss)]
        let images = ((per_epoch - first_step) * batch) as f64;
        let record = EpochRecord {
            epoch,
            learning_rate: recipe.rate_at(steps_done, u64::from(recipe.epochs) * per_epoch as u64),
            train_loss: sums.mean_loss(),
            train_accuracy: sums.accuracy(),
            valid_accuracy: accuracy,
            valid_macro_f1: scores.macro_f1,
            valid_log_loss: scores.log_loss,
            valid_ece: scores.ece,
            seconds,
            images_per_second: images / seconds.max(1e-9),
            best: better,
        };
        // Before the checkpoint: resuming drops records that are later than its checkpoint, but cannot restore a missing one.
        history.add(&record)?;
        at.save(&last)?;
        saved = Instant::now();
        progress.epoch(&record);
    }
    let no_best =
        || TrainError::Usage("the checkpoint is of a finished run that has no best epoch".to_owned());
    at.state.best.ok_or_else(no_best).map(Some)
}

pub(crate) fn refuse_to_overwrite(out: &Path) -> Result<(), TrainError> {
    if out.join(LAST).exists() {
        return Err(TrainError::Usage(format!(
            "{} holds a run already: go on with --resume, or choose another --out",
            out.display()
        )));
    }
    Ok(())
}

fn start(split: &Split, recipe: &Recipe, run: &Run<'_>) -> Result<Checkpoint, TrainError> {
    recipe.check().map_err(TrainError::Usage)?;
    let rows = split.train.len();
    if rows < 2 {
        return Err(TrainError::Usage(format!(
            "{rows} training rows; batch norm needs at least 2"
        )));
    }
    refuse_to_overwrite(&run.out)?;
    tch::manual_seed(seed_for(recipe.last_stage().seed, 0, 0));
    let network = Network::new(run.device)?;
    if let Some(path) = &run.init {
        load_network(path, &network)?;
        network.turn_scales_positive()?;
    }
    let state = State {
        recipe: recipe.clone(),
        precision: run.precision.name().to_owned(),
        rows: split.fingerprint(),
        epoch: 0,
        step: 0,
        sums: Sums::default(),
        best: None,
        started_from: run.init.as_deref().map(Provenance::of).transpose()?,
        teachers: None,
    };
    Ok(Checkpoint {
        average: network.snapshot()?,
        soft_labels: SoftLabels::new(rows)?,
        optimiser: Optimiser::new(&network, recipe.method)?,
        network,
        state,
    })
}

fn resume(path: &Path, split: &Split, recipe: &Recipe, run: &Run<'_>) -> Result<Checkpoint, TrainError> {
    if !path.exists() {
        return Err(TrainError::Usage(format!(
            "--resume: there is no checkpoint {}",
            path.display()
        )));
    }
    let at = Checkpoint::load(path, run.device)?;
    let invalid = |reason| Err(TrainError::invalid(path)(reason));
    let (before, rows) = (&at.state.rows, split.fingerprint());
    if *before != rows {
        return invalid(format!(
            "was trained on other rows ({} and {} for validation; these files have {} and {}, or the same number of others)",
            before.train, before.valid, rows.train, rows.valid
        ));
    }
    if at.state.recipe != *recipe {
        return invalid("is of another recipe; give the same flags as at its start".to_owned());
    }
    if at.state.precision != run.precision.name() {
        return invalid(format!(
            "was trained in {}; go on with --precision {0}",
            at.state.precision
        ));
    }
    Ok(at)
}

/// Scores of a network on plain faces, in float.
fn validate(network: &Network, data: &Dataset, input: &InputSpec) -> Result<Scores, TrainError> {
    const BATCH: usize = 256;
    let _no_grad = tch::no_grad_guard();
    let mut predictions: Vec<(Emotion, Probabilities)> = Vec::with_capacity(data.len());
    let indices: Vec<usize> = (0..data.len()).collect();
    for chunk in indices.chunks(BATCH) {
        let mut pixels = vec![0f32; chunk.len() * PIXELS];
        for (row, out) in chunk.iter().zip(pixels.chunks_exact_mut(PIXELS)) {
            plain(&data.faces[*row], input, out);
        }
        let logits = network.forward(&to_batch(&pixels, network.device())?, Kind::Float)?;
        for (row, logits) in chunk.iter().zip(fer_engine::to_logits(&logits, chunk.len())?) {
            let probabilities = Probabilities::from_logits(&logits).map_err(|e| {
                TrainError::Usage(format!("validation row {}: {e}; the run has diverged", row + 1))
            })?;
            predictions.push((data.labels[*row], probabilities));
        }
    }
    Ok(score(&predictions).scores)
}

/// Every row once, in an order that depends on seed and epoch alone.
fn shuffled(rows: usize, seed: u64, epoch: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(
        seed_for(seed, epoch, 0).cast_unsigned(),
    ));
    order
}
