//! Self-distillation: a row's target is its label mixed with the network's own earlier predictions of the row.
//!
//! Many labels of FER2013 are wrong or doubtful (people agree with them for about two rows of three), and a network that
//! is trained for long memorises such rows. Progressive self-knowledge distillation (Kim et al. 2021, arXiv 2006.12000)
//! mixes predictions of earlier epochs into the label. They are kept here as a running average over the row's views
//! (temporal ensembling, Laine and Aila 2017, arXiv 1610.02242), which costs no further pass.

use tch::{Kind, TchError, Tensor};

use crate::network::Named;
use fer_engine::emotion::CLASSES;

/// Share of the earlier average that stays when a row is seen again.
const DECAY: f64 = 0.6;

/// The run's average probabilities of each training row.
#[derive(Debug)]
pub(crate) struct SoftLabels {
    /// `[rows, 7]`, float, on the CPU; zeros for a row that was not seen yet.
    pub(crate) average: Named,
}

impl SoftLabels {
    pub(crate) fn new(rows: usize) -> Result<Self, TchError> {
        let rows = i64::try_from(rows).map_err(|e| TchError::Torch(format!("{rows} rows: {e}")))?;
        let tensor = Tensor::f_zeros([rows, CLASSES as i64], (Kind::Float, tch::Device::Cpu))?;
        Ok(Self {
            average: Named {
                name: "probabilities".to_owned(),
                tensor,
            },
        })
    }

    /// Targets `[N, 7]` of the rows `[N]` with the labels `[N]`: `share` of a row's average probabilities (0 where it was not
    /// seen yet), and for the rest its smoothed label.
    pub(crate) fn targets(
        &self,
        rows: &Tensor,
        labels: &Tensor,
        smoothing: f64,
        share: f64,
    ) -> Result<Tensor, TchError> {
        let labels = smoothed(labels, smoothing)?;
        let own = self.average.tensor.f_index_select(0, rows)?;
        // 1 for a row that was seen, whose probabilities add up to one; 0 for a row of zeros, which then keeps its whole label.
        let seen = own.f_sum_dim_intlist([1].as_slice(), true, Kind::Float)?;
        let label_share = seen.f_mul_scalar(-share)?.f_add_scalar(1.0)?;
        labels.f_mul(&label_share)?.f_add(&own.f_mul_scalar(share)?)
    }

    /// Updates the averages of the rows `[N]` with the network's logits `[N, 7]`.
    pub(crate) fn update(&mut self, rows: &Tensor, logits: &Tensor) -> Result<(), TchError> {
        let now = logits
            .f_detach()?
            .f_to_device(tch::Device::Cpu)?
            .f_softmax(1, Kind::Float)?;
        let own = self.average.tensor.f_index_select(0, rows)?;
        // 0 for a row that was not seen yet: its first prediction is the whole average.
        let kept = own
            .f_sum_dim_intlist([1].as_slice(), true, Kind::Float)?
            .f_mul_scalar(DECAY)?;
        let now = now.f_mul(&kept.f_neg()?.f_add_scalar(1.0)?)?;
        let next = own.f_mul_scalar(DECAY)?.f_add(&now)?;
        let _in_place = self.average.tensor.f_index_copy_(0, rows, &next)?;
        Ok(())
    }
}

/// One-hot labels `[N, 7]` with `smoothing` of them spread over all seven.
fn smoothed(labels: &Tensor, smoothing: f64) -> Result<Tensor, TchError> {
    labels
        .f_one_hot(CLASSES as i64)?
        .f_to_kind(Kind::Float)?
        .f_mul_scalar(1.0 - smoothing)?
        .f_add_scalar(smoothing / CLASSES as f64)
}

/// Cross-entropy of logits `[N, 7]` against targets `[N, 7]`, nats: the mean over the rows, each with its weight `[N]`.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, weights: &Tensor) -> Result<Tensor, TchError> {
    let each = logits
        .f_log_softmax(1, Kind::Float)?
        .f_mul(targets)?
        .f_sum_dim_intlist([1].as_slice(), false, Kind::Float)?;
    each.f_dot(weights)?.f_div(&weights.f_sum(Kind::Float)?)?.f_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
        Vec::<Vec<f64>>::try_from(tensor.to_kind(Kind::Double)).unwrap()
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn a_row_not_seen_has_its_smoothed_label() {
        let soft = SoftLabels::new(3).unwrap();
        let (at, labels) = (Tensor::from_slice(&[2i64]), Tensor::from_slice(&[4i64]));
        let targets = rows(&soft.targets(&at, &labels, 0.07, 0.8).unwrap());
        for (class, p) in targets[0].iter().enumerate() {
            assert!(close(*p, if class == 4 { 0.94 } else { 0.01 }), "{p}");
        }
    }

    #[test]
    fn predictions_are_averaged_row_by_row() {
        let mut soft = SoftLabels::new(3).unwrap();
        let (at, labels) = (Tensor::from_slice(&[1i64]), Tensor::from_slice(&[0i64]));
        let sure = |class: usize| {
            let mut logits = [0f32; CLASSES];
            logits[class] = 60.0;
            Tensor::from_slice(&logits).view([1, CLASSES as i64])
        };
        soft.update(&at, &sure(3)).unwrap();
        let first = rows(&soft.targets(&at, &labels, 0.0, 0.25).unwrap());
        assert!(close(first[0][0], 0.75) && close(first[0][3], 0.25));
        soft.update(&at, &sure(5)).unwrap();
        let second = rows(&soft.targets(&at, &labels, 0.0, 1.0).unwrap());
        assert!(close(second[0][3], DECAY) && close(second[0][5], 1.0 - DECAY));
        let others = rows(&soft.average.tensor);
        assert!(others[0].iter().chain(&others[2]).all(|p| *p == 0.0));
    }

    #[test]
    fn on_labels_it_is_the_usual_cross_entropy() {
        let logits = Tensor::from_slice(&[
            0.3f32, -1.0, 2.0, 0.0, 0.5, 1.0, -0.2, 1.0, 1.5, 0.1, 0.0, -2.0, 0.4, 0.9,
        ])
        .view([2, CLASSES as i64]);
        let labels = Tensor::from_slice(&[2i64, 6]);
        let by_label = Tensor::from_slice(&[1f32, 1.0, 3.0, 1.0, 1.0, 1.0, 0.5]);
        let usual = logits
            .f_cross_entropy_loss(&labels, Some(&by_label), tch::Reduction::Mean, -100, 0.0)
            .unwrap();
        let weights = by_label.index_select(0, &labels);
        let own = cross_entropy(&logits, &smoothed(&labels, 0.0).unwrap(), &weights).unwrap();
        assert!(close(own.double_value(&[]), usual.double_value(&[])));
    }
}
