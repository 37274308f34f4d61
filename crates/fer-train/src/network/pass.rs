//! Forward and backward.

use tch::{Device, Kind, TchError, Tensor};

use super::{BATCH_NORM_EPSILON, Kernel, LAYERS, Network, as_i64, block1::Block1, to_batch};
use crate::recipe::Dropout;

/// Weight of the newest batch in batch norm's running mean and variance.
const BATCH_NORM_MOMENTUM: f64 = 0.1;

impl Network {
    /// Logits `[N,7]` (float) for a batch from [`to_batch`], computed in `kind` (float or bfloat16), with running
    /// statistics and without dropout.
    pub fn forward(&self, input: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
        let x = self.convolve(0, &input.f_to_kind(kind)?)?;
        self.after_block1(x, None)
    }

    /// A forward pass in training for scaled pixels (2,304 a face): uses and tracks batch statistics, and drops values at the
    /// given rates with libtorch's generator.
    pub fn forward_training(
        &self,
        pixels: Vec<f32>,
        kind: Kind,
        dropout: &Dropout,
    ) -> Result<Pass<'_>, TchError> {
        let first = &self.slots[0];
        let (x, block1) = if self.device == Device::Cpu {
            let of = |i: usize| &self.parameters[first.weight + i].tensor;
            let block1 = Block1::forward(pixels, of(0), of(1), kind)?;
            (block1.output.shallow_clone(), Some(block1))
        } else {
            let input = to_batch(&pixels, self.device)?.f_to_kind(kind)?;
            (self.convolve(0, &input)?, None)
        };
        Ok(Pass {
            logits: self.after_block1(x, Some(dropout))?,
            block1,
            weight: &self.parameters[first.weight].tensor,
        })
    }

    /// Layer `i`'s convolution and pooling, in the kind of `x`.
    fn convolve(&self, i: usize, x: &Tensor) -> Result<Tensor, TchError> {
        let Kernel::Conv { padding, .. } = LAYERS[i].kernel else {
            return Err(TchError::Torch(format!("{} is no convolution", LAYERS[i].name)));
        };
        let (weight, bias) = self.weight_and_bias(i, x.f_kind()?)?;
        x.f_conv2d(&weight, Some(&bias), [1, 1], [as_i64(padding); 2], [1, 1], 1)?
            .f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
    }

    pub(super) fn weight_and_bias(&self, i: usize, kind: Kind) -> Result<(Tensor, Tensor), TchError> {
        let slot = &self.slots[i];
        let of = |j: usize| self.parameters[slot.weight + j].tensor.f_to_kind(kind);
        let bias = of(1)?;
        // Batch norm subtracts the mean and with it this bias: the gradient is zero, but computing it would cost a pass.
        Ok((
            of(0)?,
            if slot.norm.is_some() {
                bias.f_detach()?
            } else {
                bias
            },
        ))
    }

    /// From the pooled first convolution to the logits. `dropout` is given in training, where batch statistics are used.
    fn after_block1(&self, pooled: Tensor, dropout: Option<&Dropout>) -> Result<Tensor, TchError> {
        let kind = pooled.f_kind()?;
        let mut x = pooled;
        for (i, (layer, slot)) in LAYERS.iter().zip(&self.slots).enumerate() {
            x = match layer.kernel {
                Kernel::Conv { .. } if i == 0 => x,
                Kernel::Conv { .. } => self.convolve(i, &x)?,
                Kernel::Dense => {
                    let (weight, bias) = self.weight_and_bias(i, kind)?;
                    x.f_flatten(1, -1)?.f_linear(&weight, Some(&bias))?
                }
            };
            let Some(norm) = slot.norm else { continue };
            x = x
                .f_batch_norm(
                    Some(&self.parameters[norm.scale].tensor),
                    Some(&self.parameters[norm.scale + 1].tensor),
                    Some(&self.buffers[norm.mean].tensor),
                    Some(&self.buffers[norm.mean + 1].tensor),
                    dropout.is_some(),
                    BATCH_NORM_MOMENTUM,
                    BATCH_NORM_EPSILON,
                    true,
                )?
                .f_relu()?;
            if let Some(rate) = dropout.map(|d| d.0[i]).filter(|r| *r > 0.0) {
                x = x.f_dropout(rate, true)?;
            }
        }
        x.f_to_kind(Kind::Float)
    }
}

/// The result of a forward pass in training, with what its backward pass needs.
#[derive(Debug)]
pub struct Pass<'a> {
    /// `[N,7]`, float.
    pub logits: Tensor,
    block1: Option<Block1>,
    weight: &'a Tensor,
}

impl Pass<'_> {
    /// Adds the gradients of `loss`, which was computed from [`logits`](Self::logits), to the network's parameters.
    pub fn backward(&self, loss: &Tensor) -> Result<(), TchError> {
        loss.f_backward()?;
        if let Some(block1) = &self.block1 {
            // tch cannot set a gradient. The gradient of sum(weight · g) with respect to the weight is g, so this
            // second backward pass adds `g` to the weight's gradient.
            self.weight
                .f_mul(&block1.weight_gradient()?)?
                .f_sum(Kind::Float)?
                .f_backward()?;
        }
        Ok(())
    }
}
