//! One step of the optimiser.

use tch::{Device, Kind, Tensor};

use super::{Run, checkpoint::Checkpoint};
use crate::{
    augment::{Batch, seed_for},
    data::Dataset,
    distill::{Teachers, cross_entropy},
    error::TrainError,
    optim::{OptimiserStep, average},
    recipe::Recipe,
};

/// The part of a step that is the same for all steps of a run.
pub(super) struct Steps<'a> {
    train: &'a Dataset,
    recipe: &'a Recipe,
    per_epoch: usize,
    /// Weight in the loss of a row of each label, `[7]`, float, on the CPU.
    label_weights: Tensor,
    kind: Kind,
    device: Device,
}

impl<'a> Steps<'a> {
    pub(super) fn new(
        train: &'a Dataset,
        recipe: &'a Recipe,
        per_epoch: usize,
        run: &Run<'_>,
    ) -> Result<Self, TrainError> {
        let label_weights = recipe.label_weights(&train.class_counts());
        Ok(Self {
            train,
            recipe,
            per_epoch,
            label_weights: Tensor::f_from_slice(&label_weights)?.f_to_kind(Kind::Float)?,
            kind: run.precision.kind(),
            device: run.device,
        })
    }

    pub(super) fn step(
        &self,
        at: &mut Checkpoint,
        rows: &[usize],
        teachers: &mut Teachers,
    ) -> Result<(), TrainError> {
        let recipe = self.recipe;
        let epoch = at.state.epoch + 1;
        let per_epoch = self.per_epoch as u64;
        let done = u64::from(at.state.epoch) * per_epoch + at.state.step as u64;
        let seed = seed_for(recipe.seed, epoch, at.state.step + 1);
        // libtorch's generator draws the dropout.
        tch::manual_seed(seed);
        let distilled = !teachers.origins.is_empty();
        // A mixture of two faces has no label; only teachers have a target for it.
        let mixup = if distilled { recipe.distillation.mixup } else { 0.0 };
        let Batch { pixels, labels } = Batch::draw(self.train, rows, recipe, epoch, seed, mixup)?;
        let labels = Tensor::f_from_slice(&labels)?;
        let weights = self
            .label_weights
            .f_index_select(0, &labels)?
            .f_to_device(self.device)?;
        let indices = rows.iter().map(|r| *r as i64).collect::<Vec<_>>();
        let indices = Tensor::f_from_slice(&indices)?;
        let targets = if distilled {
            teachers.targets(&pixels, &recipe.input)?
        } else {
            let share = recipe.own_share(epoch);
            at.soft_labels
                .targets(&indices, &labels, recipe.label_smoothing, share)?
        }
        .f_to_device(self.device)?;
        let labels = labels.f_to_device(self.device)?;
        let pass = at.network.forward_training(pixels, self.kind, &recipe.dropout)?;
        let loss = cross_entropy(&pass.logits, &targets, &weights)?;
        pass.backward(&loss)?;
        if !distilled {
            at.soft_labels.update(&indices, &pass.logits)?;
        }
        let numbers = OptimiserStep {
            rate: recipe.rate_at(done, u64::from(recipe.epochs) * per_epoch),
            momentum: recipe.momentum,
            weight_decay: recipe.weight_decay,
            done,
        };
        at.optimiser.step(&at.network, numbers)?;
        at.network.keep_scales_positive()?;
        average(&at.average, &at.network, recipe.average_decay, done)?;
        let value = loss.f_double_value(&[])?;
        if !value.is_finite() {
            let step = at.state.step + 1;
            return Err(TrainError::Diverged { epoch, step });
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
        at.state.step += 1;
        Ok(())
    }
}
