//! Distillation from networks that were trained before.

use serde::{Deserialize, Serialize};

use super::{Dropout, Recipe};

/// A last stage that trains the network to be shipped, the student, from several others of the same architecture, its
/// teachers: knowledge distillation (Hinton et al. 2015, arXiv 1503.02531) from an ensemble that classifies every single
/// view ("consistent teaching", Beyer et al. 2022, arXiv 2106.05237).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distillation {
    /// The number of teachers. They are trained first, each by the rest of the recipe: the first with the recipe's seed, the
    /// next with that seed plus 1, and so on. 0: there is no such stage, and the fields below have no effect.
    pub teachers: u32,
    /// Passes over the training rows, starting from the first teacher's weights.
    pub epochs: u32,
    /// Highest learning rate, as a share of the recipe's.
    pub rate_share: f64,
    pub dropout: Dropout,
    /// Share of the views into which another row's view is mixed, by up to a half (mixup, Zhang et al. 2018, arXiv
    /// 1710.09412; the target is the teachers' prediction of the mixture).
    pub mixup: f64,
}

impl Default for Distillation {
    fn default() -> Self {
        Self {
            teachers: 3,
            epochs: 22,
            rate_share: 0.5,
            dropout: Dropout([0.0, 0.0, 0.0, 0.0, 0.1, 0.1]),
            mixup: 0.5,
        }
    }
}

impl Recipe {
    pub(crate) fn of_teacher(&self, which: u32) -> Self {
        Self {
            seed: self.seed.wrapping_add(u64::from(which)),
            distillation: Distillation {
                teachers: 0,
                ..self.distillation.clone()
            },
            ..self.clone()
        }
    }

    /// The numbers of the recipe's last stage: its own, or with teachers those of [`Distillation`].
    pub(crate) fn last_stage(&self) -> Self {
        let d = &self.distillation;
        if d.teachers == 0 {
            return self.clone();
        }
        Self {
            epochs: d.epochs,
            learning_rate: self.learning_rate * d.rate_share,
            dropout: d.dropout,
            // The teachers' predictions take the place of its own.
            self_distillation: 0.0,
            // A seed of its own, so that order and views differ from those of every teacher.
            ..self.of_teacher(d.teachers)
        }
    }
}
