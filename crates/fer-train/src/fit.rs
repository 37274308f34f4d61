//! The training loop.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use tch::{Device, Kind, Tensor};

use super::{
    TrainError, augment,
    batch::{Batch, seed_for},
    checkpoint::{Checkpoint, State, Sums, load_network},
    data::Dataset,
    network::{Network, to_batch},
    optimiser::{Optimiser, Step, average},
    precision::Precision,
    progress::{EpochRecord, History, Progress},
    recipe::Recipe,
    score::scores::score,
    sharpness::Uphill,
    targets::{Memory, cross_entropy},
    teachers::Teachers,
};
use fer_engine::{
    InputSpec,
    emotion::{Emotion, Probabilities},
    folder::{Best, Provenance, Scores},
};
use fer_image::PIXELS;

/// The checkpoint a run goes on from.
pub const LAST: &str = "last.safetensors";
/// The checkpoint of the epoch that validated best.
pub const BEST: &str = "best.safetensors";

/// A run, apart from its recipe.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// Where checkpoints and records go.
    pub out: PathBuf,
    /// What to compute in.
    pub precision: Precision,
    /// Where to compute.
    pub device: Device,
    /// Time between checkpoints within an epoch; one is written after every epoch anyway.
    pub checkpoint_every: Duration,
    /// Go on from [`LAST`] in `out`.
    pub resume: bool,
    /// Start from these weights (`model.safetensors`) instead of random ones.
    pub init: Option<PathBuf>,
    /// Set from outside to stop after the step under way.
    pub stop: &'a AtomicBool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// All epochs were trained; the best of them.
    Finished(Best),
    /// Stopped from outside; [`LAST`] holds where.
    Stopped {
        /// Finished epochs.
        epoch: u32,
        /// Steps done in the one after.
        step: usize,
    },
}

/// Trains a network on `train` by the recipe's last stage, validates its averaged weights on `valid` after every epoch, keeps the
/// best. `teachers` are those of that stage; none where the recipe has none.
///
/// A run that is stopped and resumed passes through the same weights, bit for bit, as one that is not: what
/// is random follows from seed, epoch and step alone, and the order of additions from the thread count.
///
/// # Errors
/// [`TrainError`]: files, libtorch, a loss that is not finite, or a checkpoint of another recipe or other rows.
pub fn fit(
    train: &Dataset,
    valid: &Dataset,
    recipe: &Recipe,
    run: &Run<'_>,
    teachers: &mut Teachers,
) -> Result<Outcome, TrainError> {
    std::fs::create_dir_all(&run.out).map_err(TrainError::file(&run.out))?;
    let last = run.out.join(LAST);
    let mut at = if run.resume {
        resume(&last, train, valid, recipe, run)?
    } else {
        start(train, valid, recipe, run)?
    };
    at.state.learns_from(teachers.origins(), &last)?;
    let mut history = History::open(&run.out, at.state.epoch)?;
    let recipe = at.state.recipe.last_stage();
    let batch = recipe.batch_size.min(train.len());
    let steps = train.len() / batch;
    let mut progress = Progress::new(recipe.epochs, steps, batch);
    let mut saved = Instant::now();
    while at.state.epoch < recipe.epochs {
        let epoch = at.state.epoch + 1;
        let order = shuffled(train.len(), recipe.seed, epoch);
        let started = Instant::now();
        let first_step = at.state.step;
        progress.start(epoch, first_step);
        while at.state.step < steps {
            let rows = &order[at.state.step * batch..][..batch];
            step(&mut at, train, rows, (&recipe, steps), run, teachers)?;
            at.state.step += 1;
            progress.step(&at.state.sums);
            let stop = run.stop.load(Ordering::Relaxed);
            if stop || saved.elapsed() >= run.checkpoint_every {
                at.save(&last)?;
                saved = Instant::now();
            }
            if stop {
                return Ok(Outcome::Stopped {
                    epoch: at.state.epoch,
                    step: at.state.step,
                });
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        let scores = validate(&at.average, valid, &recipe.input)?;
        let sums = at.state.sums;
        let better = at.state.best.is_none_or(|b| scores.accuracy > b.accuracy);
        at.state.epoch = epoch;
        at.state.step = 0;
        at.state.sums = Sums::default();
        if better {
            at.state.best = Some(Best {
                epoch,
                accuracy: scores.accuracy,
            });
            at.save(&run.out.join(BEST))?;
        }
        // The record first: resuming drops records past its checkpoint, but could not make up a missing one.
        let trained = (steps - first_step) * batch;
        let rate = recipe.rate_at(
            u64::from(epoch) * steps as u64,
            u64::from(recipe.epochs) * steps as u64,
        );
        let record = EpochRecord::new(epoch, rate, &sums, &scores, seconds, trained, better);
        history.add(&record)?;
        at.save(&last)?;
        saved = Instant::now();
        progress.epoch(&record);
    }
    let Some(best) = at.state.best else {
        return Err(TrainError::Usage(
            "the checkpoint is of a finished run that has no best epoch".to_owned(),
        ));
    };
    Ok(Outcome::Finished(best))
}

fn start(train: &Dataset, valid: &Dataset, recipe: &Recipe, run: &Run<'_>) -> Result<Checkpoint, TrainError> {
    recipe.check().map_err(TrainError::Usage)?;
    if train.len() < 2 {
        return Err(TrainError::Usage(format!(
            "{} training rows; batch norm needs at least 2",
            train.len()
        )));
    }
    super::stages::refuse_to_overwrite(&run.out)?;
    tch::manual_seed(seed_for(recipe.last_stage().seed, 0, 0));
    let network = Network::new(run.device)?;
    if let Some(path) = &run.init {
        load_network(path, &network)?;
        network.turn_scales_positive()?;
    }
    let state = State {
        recipe: recipe.clone(),
        precision: run.precision.name().to_owned(),
        rows: super::progress::rows(train, valid),
        epoch: 0,
        step: 0,
        sums: Sums::default(),
        best: None,
        started_from: run.init.as_deref().map(Provenance::of).transpose()?,
        teachers: None,
    };
    Ok(Checkpoint {
        average: network.snapshot()?,
        memory: Memory::new(train.len())?,
        optimiser: Optimiser::new(&network, recipe.method)?,
        network,
        state,
    })
}

fn resume(
    path: &Path,
    train: &Dataset,
    valid: &Dataset,
    recipe: &Recipe,
    run: &Run<'_>,
) -> Result<Checkpoint, TrainError> {
    if !path.exists() {
        return Err(TrainError::Usage(format!(
            "--resume: there is no checkpoint {}",
            path.display()
        )));
    }
    let at = Checkpoint::load(path, run.device)?;
    let invalid = |reason| {
        Err(TrainError::Invalid {
            path: path.to_owned(),
            reason,
        })
    };
    let rows = super::progress::rows(train, valid);
    if at.state.rows != rows {
        return invalid(format!(
            "was trained on other rows ({} and {} for validation; these files have {} and {}, or the same number of others)",
            at.state.rows.train, at.state.rows.valid, rows.train, rows.valid
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

/// One step of the optimiser on those rows.
fn step(
    at: &mut Checkpoint,
    train: &Dataset,
    rows: &[usize],
    (recipe, steps): (&Recipe, usize),
    run: &Run<'_>,
    teachers: &mut Teachers,
) -> Result<(), TrainError> {
    let epoch = at.state.epoch + 1;
    let done = u64::from(at.state.epoch) * steps as u64 + at.state.step as u64;
    let seed = seed_for(recipe.seed, epoch, at.state.step + 1);
    // libtorch's generator draws the dropout.
    tch::manual_seed(seed);
    let taught = !teachers.origins().is_empty();
    // Only the teachers can say what a mixture is.
    let mixup = if taught { recipe.distillation.mixup } else { 0.0 };
    let Batch {
        pixels,
        coarse,
        labels,
    } = Batch::draw(train, rows, recipe, epoch, seed, mixup)?;
    let labels = Tensor::f_from_slice(&labels)?;
    let weights = Tensor::f_from_slice(&recipe.label_weights(&train.class_counts()))?
        .f_to_kind(Kind::Float)?
        .f_index_select(0, &labels)?
        .f_to_device(run.device)?;
    let indices = rows.iter().map(|r| *r as i64).collect::<Vec<_>>();
    let indices = Tensor::f_from_slice(&indices)?;
    let targets = if taught {
        teachers.targets(&pixels, &coarse, &recipe.input)?
    } else {
        let share = recipe.own_share(epoch);
        at.memory
            .targets(&indices, &labels, recipe.label_smoothing, share)?
    }
    .f_to_device(run.device)?;
    let labels = labels.f_to_device(run.device)?;
    let kind = run.precision.kind();
    let uphill = if recipe.sharpness > 0.0 {
        let batch = (pixels.as_slice(), &targets, &weights);
        Some(Uphill::of_batch(&at.network, batch, kind, recipe)?)
    } else {
        None
    };
    let pass = at.network.forward_training(pixels, kind, &recipe.dropout, true)?;
    let loss = cross_entropy(&pass.logits, &targets, &weights)?;
    pass.backward(&loss)?;
    if let Some(uphill) = uphill {
        uphill.back(&at.network)?;
    }
    if !taught {
        at.memory.remember(&indices, &pass.logits)?;
    }
    let rate = recipe.rate_at(done, u64::from(recipe.epochs) * steps as u64);
    let numbers = Step {
        rate,
        momentum: recipe.momentum,
        weight_decay: recipe.weight_decay,
        done,
    };
    at.optimiser.step(&at.network, numbers)?;
    at.network.keep_scales_positive()?;
    average(&at.average, &at.network, recipe.average_decay, done)?;
    let value = loss.f_double_value(&[])?;
    if !value.is_finite() {
        return Err(TrainError::Diverged {
            epoch,
            step: at.state.step + 1,
        });
    }
    let correct = pass
        .logits
        .f_argmax(1, false)?
        .f_eq_tensor(&labels)?
        .f_sum(Kind::Int64)?
        .f_int64_value(&[])?;
    at.state.sums.loss += value * rows.len() as f64;
    at.state.sums.correct += correct.unsigned_abs();
    at.state.sums.rows += rows.len() as u64;
    Ok(())
}

/// Scores of a network on plain faces, in float.
///
/// # Errors
/// What libtorch says, or logits that are not finite.
pub fn validate(network: &Network, data: &Dataset, input: &InputSpec) -> Result<Scores, TrainError> {
    const BATCH: usize = 256;
    let _no_grad = tch::no_grad_guard();
    let mut predictions: Vec<(Emotion, Probabilities)> = Vec::with_capacity(data.len());
    let indices: Vec<usize> = (0..data.len()).collect();
    for chunk in indices.chunks(BATCH) {
        let mut pixels = vec![0f32; chunk.len() * PIXELS];
        for (row, out) in chunk.iter().zip(pixels.chunks_exact_mut(PIXELS)) {
            augment::plain(data.face(*row), input, out);
        }
        let logits = network.forward(&to_batch(&pixels, network.device())?, Kind::Float)?;
        for (row, logits) in chunk.iter().zip(fer_engine::to_logits(&logits, chunk.len())?) {
            let probabilities = Probabilities::from_logits(&logits).map_err(|e| {
                TrainError::Usage(format!("validation row {}: {e}; the run has diverged", row + 1))
            })?;
            predictions.push((data.label(*row), probabilities));
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
