//! Keeps the scales of the batch norms behind a pooling positive: the comment on the network says why.

use tch::{Kind, TchError};

use super::{Kernel, LAYERS, Network, Norm, Slots};

const SMALLEST_SCALE: f64 = 1e-3;

impl Network {
    /// Raises scales to the lower bound; for use after a step of the optimiser.
    pub fn keep_scales_positive(&self) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        for (_, norm) in self.pooled() {
            let mut scale = self.parameters[norm.scale].tensor.shallow_clone();
            let _ = scale.f_clamp_min_(SMALLEST_SCALE)?;
        }
        Ok(())
    }

    /// Makes negative scales of batch norms behind a pooling positive without changing the function: the channel's
    /// weights, bias and mean are negated with it. For weights that were trained elsewhere.
    pub(crate) fn turn_scales_positive(&self) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        for (slot, norm) in self.pooled() {
            let scale = &self.parameters[norm.scale].tensor;
            // −1 where the scale is negative, else 1.
            let sign = scale
                .f_lt(0.0)?
                .f_to_kind(Kind::Float)?
                .f_mul_scalar(-2.0)?
                .f_add_scalar(1.0)?;
            let weight = &self.parameters[slot.weight].tensor;
            let _ = weight.shallow_clone().f_mul_(&sign.f_view([-1, 1, 1, 1])?)?;
            for t in [
                &self.parameters[slot.weight + 1].tensor,
                &self.buffers[norm.mean].tensor,
                scale,
            ] {
                let _ = t.shallow_clone().f_mul_(&sign)?;
            }
        }
        self.keep_scales_positive()
    }

    fn pooled(&self) -> impl Iterator<Item = (&Slots, &Norm)> {
        LAYERS
            .iter()
            .zip(&self.slots)
            .filter(|(layer, _)| matches!(layer.kernel, Kernel::Conv { .. }))
            .filter_map(|(_, slot)| Some((slot, slot.norm.as_ref()?)))
    }
}
