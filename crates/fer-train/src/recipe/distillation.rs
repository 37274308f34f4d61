//! Learning from networks that were trained before.

use serde::{Deserialize, Serialize};

use super::{Augmentation, Dropout, Recipe};

/// A last stage in which the network that is shipped learns from several others of its kind, its teachers: knowledge
/// distillation (Hinton et al. 2015, arXiv 1503.02531) from an ensemble that says of every single view what it is
/// ("consistent teaching", Beyer et al. 2022, arXiv 2106.05237).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distillation {
    /// How many teachers are trained first, each by the rest of the recipe: the first with the recipe's seed, the next with
    /// that after it, and so on. 0: there is no such stage, and everything below is without meaning.
    pub teachers: u32,
    /// How many of them, the last, go another way: see [`Recipe::by_labels`]. Networks of one recipe are wrong on the same
    /// rows; the mean of two that were made differently is right on more rows than that of three that were not. They have seen no
    /// coarse pictures, so of views of low resolution the others alone are asked, if there are any.
    pub by_labels: u32,
    /// Whether the teachers are asked about the mirror image of a view, too; what they say is then the mean of both.
    pub mirror: bool,
    /// Passes over the training rows, starting from the first teacher's weights.
    pub epochs: u32,
    /// Highest learning rate, as a share of the recipe's.
    pub rate_share: f64,
    /// Dropout rates.
    pub dropout: Dropout,
    /// Probability of low resolution in its views, which such a network loses most by; without it, that of the recipe's
    /// [`augmentation`](Recipe::augmentation).
    pub low_resolution: Option<f64>,
    /// Share of the views into which another row's view is mixed, by up to a half (mixup, Zhang et al. 2018, arXiv
    /// 1710.09412; the target is what the teachers say of the mixture).
    pub mixup: f64,
}

impl Default for Distillation {
    fn default() -> Self {
        Self {
            teachers: 3,
            by_labels: 0,
            mirror: false,
            epochs: 22,
            rate_share: 0.5,
            dropout: Dropout([0.0, 0.0, 0.0, 0.0, 0.1, 0.1]),
            low_resolution: None,
            mixup: 0.5,
        }
    }
}

impl Recipe {
    /// What teacher `which` (from 0) is trained by.
    #[must_use]
    pub fn of_teacher(&self, which: u32) -> Self {
        let d = &self.distillation;
        let same = Self {
            seed: self.seed.wrapping_add(u64::from(which)),
            distillation: Distillation {
                teachers: 0,
                ..d.clone()
            },
            ..self.clone()
        };
        let of_the_last = d.teachers.saturating_sub(d.by_labels)..d.teachers;
        if of_the_last.contains(&which) {
            same.by_labels()
        } else {
            same
        }
    }

    /// The recipe of a network that goes another way: it learns from smoothed labels, not from its own opinion of a row, sees no coarse
    /// pictures, drops less, and ends after four fifths of the epochs, since it then begins to learn wrong labels by heart. By itself
    /// it is as often right, but surer of it, and weak on bad pictures (docs/training.md, the third run).
    #[must_use]
    pub fn by_labels(&self) -> Self {
        Self {
            epochs: (self.epochs * 4 / 5).max(1),
            label_smoothing: 0.1,
            self_distillation: 0.0,
            dropout: Dropout([0.0, 0.0, 0.0, 0.1, 0.2, 0.2]),
            augmentation: Augmentation {
                erase: 0.1,
                low_resolution: 0.0,
                jpeg: 0.0,
                ..self.augmentation
            },
            ..self.clone()
        }
    }

    /// The numbers of the recipe's last stage: its own, or with teachers those of [`Distillation`].
    #[must_use]
    pub fn last_stage(&self) -> Self {
        let d = &self.distillation;
        if d.teachers == 0 {
            return self.clone();
        }
        Self {
            epochs: d.epochs,
            learning_rate: self.learning_rate * d.rate_share,
            dropout: d.dropout,
            augmentation: Augmentation {
                low_resolution: d.low_resolution.unwrap_or(self.augmentation.low_resolution),
                ..self.augmentation
            },
            // The teachers say what the run would.
            self_distillation: 0.0,
            // Not the order and the views that a teacher has had.
            ..self.of_teacher(d.teachers)
        }
    }
}
