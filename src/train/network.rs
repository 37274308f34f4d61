//! The network of "Convolutional Neural Networks for Facial Expression Recognition" (arXiv 1704.06756):
//! four convolutions and three dense layers, 3,823,367 parameters.
//!
//! Every convolution and hidden dense layer is followed by batch norm, ReLU and dropout, every convolution by 2×2 max
//! pooling. The pooling is computed first: batch norm's scale is kept positive, so it and ReLU are monotone and the
//! function is the same, on a quarter of the values. (Batch statistics are then those of the pooled values.)

use tch::{Device, Kind, TchError, Tensor};

use super::{block1::Block1, recipe::Dropout};
use crate::{emotion::CLASSES, image::SIDE};

/// Batch norm's ε, Keras' default.
pub const BATCH_NORM_EPSILON: f64 = 1e-3;
/// Below this no scale of a batch norm that stands behind a pooling falls.
const SMALLEST_SCALE: f64 = 1e-3;
/// Weight of the newest batch in batch norm's running mean and variance.
const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// What a layer computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// A square convolution of stride 1, then 2×2 max pooling.
    Conv {
        /// Width and height of the kernel.
        size: usize,
        /// Zeros added on each side: `size / 2` keeps the size ("same"), 0 is "valid".
        padding: usize,
    },
    /// A fully connected layer.
    Dense,
}

/// One row of the network's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Prefix of its tensors' names.
    pub name: &'static str,
    /// What it computes.
    pub kernel: Kernel,
    /// Channels or features in.
    pub inputs: usize,
    /// Channels or features out.
    pub outputs: usize,
    /// Whether batch norm follows.
    pub batch_norm: bool,
}

const fn conv(name: &'static str, size: usize, padding: usize, inputs: usize, outputs: usize) -> Layer {
    Layer {
        name,
        kernel: Kernel::Conv { size, padding },
        inputs,
        outputs,
        batch_norm: true,
    }
}

const fn dense(name: &'static str, inputs: usize, outputs: usize, batch_norm: bool) -> Layer {
    Layer {
        name,
        kernel: Kernel::Dense,
        inputs,
        outputs,
        batch_norm,
    }
}

/// The network, from the picture to the logits.
pub const LAYERS: [Layer; 7] = [
    conv("conv1", 3, 1, 1, 64),
    conv("conv2", 5, 2, 64, 128),
    conv("conv3", 3, 1, 128, 512),
    conv("conv4", 3, 0, 512, 512),
    dense("dense1", 2 * 2 * 512, 256, true),
    dense("dense2", 256, 512, true),
    dense("output", 512, CLASSES, false),
];

impl Layer {
    /// Shape of the weight: `[outputs, inputs, size, size]` or `[outputs, inputs]`.
    #[must_use]
    pub fn weight_shape(&self) -> Vec<i64> {
        let dims = match self.kernel {
            Kernel::Conv { size, .. } => vec![self.outputs, self.inputs, size, size],
            Kernel::Dense => vec![self.outputs, self.inputs],
        };
        dims.into_iter().map(as_i64).collect()
    }

    /// Weights and biases of the layer itself, without batch norm.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let taps = match self.kernel {
            Kernel::Conv { size, .. } => size * size,
            Kernel::Dense => 1,
        };
        (self.inputs * taps + 1) * self.outputs
    }

    /// Scale, shift, running mean and running variance, as Keras counts them.
    #[must_use]
    pub const fn batch_norm_parameters(&self) -> usize {
        if self.batch_norm { 4 * self.outputs } else { 0 }
    }
}

/// Sizes here are at most thousands.
#[allow(clippy::cast_possible_wrap)]
const fn as_i64(n: usize) -> i64 {
    n as i64
}

/// A tensor with the name it has in every file.
#[derive(Debug)]
pub struct Named {
    /// `conv1.weight`, `conv1.bn.running_mean`, …
    pub name: String,
    /// Float, on the network's device.
    pub tensor: Tensor,
}

/// Index into [`Network::parameters`] and [`Network::buffers`] of what a layer uses.
#[derive(Debug, Clone, Copy)]
struct Slots {
    weight: usize,
    norm: Option<Norm>,
}

#[derive(Debug, Clone, Copy)]
struct Norm {
    scale: usize,
    mean: usize,
}

/// The network's tensors in float, with gradients where they are trained.
#[derive(Debug)]
pub struct Network {
    parameters: Vec<Named>,
    buffers: Vec<Named>,
    slots: Vec<Slots>,
    device: Device,
}

impl Network {
    /// A network with He-normal weights (He et al. 2015) drawn from libtorch's generator, zero biases and
    /// neutral batch norm. Seed the generator first.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn new(device: Device) -> Result<Self, TchError> {
        let _no_grad = tch::no_grad_guard();
        let (mut parameters, mut buffers, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        let float = (Kind::Float, device);
        for layer in &LAYERS {
            let named = |what: &str, tensor| Named {
                name: format!("{}.{what}", layer.name),
                tensor,
            };
            let out = [as_i64(layer.outputs)];
            let fan_in: i64 = layer.weight_shape()[1..].iter().product();
            #[allow(clippy::cast_precision_loss)]
            let std = (2.0 / fan_in as f64).sqrt();
            // Drawn on the CPU, so that a seed means the same weights on every device.
            let weight =
                Tensor::f_randn(layer.weight_shape(), (Kind::Float, Device::Cpu))?.f_mul_scalar(std)?;
            let weight = channels_last(&weight.f_to_device(device)?)?;
            let mut slot = Slots {
                weight: parameters.len(),
                norm: None,
            };
            parameters.push(named("weight", weight));
            parameters.push(named("bias", Tensor::f_zeros(out, float)?));
            if layer.batch_norm {
                slot.norm = Some(Norm {
                    scale: parameters.len(),
                    mean: buffers.len(),
                });
                parameters.push(named("bn.weight", Tensor::f_ones(out, float)?));
                parameters.push(named("bn.bias", Tensor::f_zeros(out, float)?));
                buffers.push(named("bn.running_mean", Tensor::f_zeros(out, float)?));
                buffers.push(named("bn.running_var", Tensor::f_ones(out, float)?));
            }
            slots.push(slot);
        }
        for p in &parameters {
            let _ = p.tensor.f_set_requires_grad(true)?;
        }
        Ok(Self {
            parameters,
            buffers,
            slots,
            device,
        })
    }

    /// The trained tensors, in a fixed order.
    #[must_use]
    pub fn parameters(&self) -> &[Named] {
        &self.parameters
    }

    /// Batch norm's running mean and variance, in a fixed order.
    #[must_use]
    pub fn buffers(&self) -> &[Named] {
        &self.buffers
    }

    /// Parameters, then buffers: everything the network is.
    pub fn tensors(&self) -> impl Iterator<Item = &Named> {
        self.parameters.iter().chain(&self.buffers)
    }

    /// Where it lives.
    #[must_use]
    pub const fn device(&self) -> Device {
        self.device
    }

    /// A copy with its own storage and no gradients, on the same device.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn snapshot(&self) -> Result<Self, TchError> {
        let _no_grad = tch::no_grad_guard();
        let copy = |all: &[Named]| {
            all.iter()
                .map(|n| {
                    // Keeps the strides, so that the average has the layout of the weights.
                    let mut tensor = n.tensor.f_detach()?.f_zeros_like()?;
                    tensor.f_copy_(&n.tensor)?;
                    Ok(Named {
                        name: n.name.clone(),
                        tensor,
                    })
                })
                .collect::<Result<Vec<_>, TchError>>()
        };
        Ok(Self {
            parameters: copy(&self.parameters)?,
            buffers: copy(&self.buffers)?,
            slots: self.slots.clone(),
            device: self.device,
        })
    }

    /// Logits `[N,7]` (float) for a batch from [`to_batch`], computed in `kind` (float or bfloat16), with running
    /// statistics and without dropout.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn forward(&self, input: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
        let x = self.convolve(0, &input.f_to_kind(kind)?)?;
        self.after_block1(x, None)
    }

    /// A forward pass in training, for scaled pixels (2,304 a face): batch statistics are used and tracked, values
    /// dropped at those rates with libtorch's generator.
    ///
    /// # Errors
    /// What libtorch says.
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

    fn weight_and_bias(&self, i: usize, kind: Kind) -> Result<(Tensor, Tensor), TchError> {
        let slot = &self.slots[i];
        let of = |j: usize| self.parameters[slot.weight + j].tensor.f_to_kind(kind);
        let bias = of(1)?;
        // Batch norm takes a bias before it away again: its gradient is zero, and costs a pass to compute.
        Ok((
            of(0)?,
            if slot.norm.is_some() {
                bias.f_detach()?
            } else {
                bias
            },
        ))
    }

    /// From the pooled first convolution to the logits; in training with `dropout`.
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

    /// Keeps the scale of every batch norm behind a pooling positive: see the top of this file. For after a step of
    /// the optimiser.
    ///
    /// # Errors
    /// What libtorch says.
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
    ///
    /// # Errors
    /// What libtorch says.
    pub fn turn_scales_positive(&self) -> Result<(), TchError> {
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

/// A forward pass in training, and what its backward pass needs.
#[derive(Debug)]
pub struct Pass<'a> {
    /// `[N,7]`, float.
    pub logits: Tensor,
    block1: Option<Block1>,
    weight: &'a Tensor,
}

impl Pass<'_> {
    /// Leaves the gradients of `loss`, which was computed from [`logits`](Self::logits), in the network's parameters.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn backward(&self, loss: &Tensor) -> Result<(), TchError> {
        loss.f_backward()?;
        if let Some(block1) = &self.block1 {
            // tch cannot set a gradient; that of the product's sum is the one wanted.
            self.weight
                .f_mul(&block1.weight_gradient()?)?
                .f_sum(Kind::Float)?
                .f_backward()?;
        }
        Ok(())
    }
}

/// Normalised pixels, 2,304 a face, as the batch `[N,1,48,48]` in the layout the convolutions want.
///
/// # Errors
/// What libtorch says.
pub fn to_batch(pixels: &[f32], device: Device) -> Result<Tensor, TchError> {
    let side = as_i64(SIDE);
    // One channel: the same bytes are both layouts, but only these strides are read as channels-last.
    Tensor::f_from_slice(pixels)?
        .f_to_device(device)?
        .f_view([-1, side, side, 1])?
        .f_permute([0, 3, 1, 2])
}

/// The same values with channels innermost in memory, which is what oneDNN's convolutions are fastest on.
///
/// # Errors
/// What libtorch says.
pub fn channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    if x.dim() != 4 {
        return x.f_contiguous();
    }
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_row_by_row() {
        // (name, parameters, batch norm), as the table is published.
        let table = [
            ("conv1", 640, 256),
            ("conv2", 204_928, 512),
            ("conv3", 590_336, 2_048),
            ("conv4", 2_359_808, 2_048),
            ("dense1", 524_544, 1_024),
            ("dense2", 131_584, 2_048),
            ("output", 3_591, 0),
        ];
        for (layer, (name, parameters, norm)) in LAYERS.iter().zip(table) {
            assert_eq!(
                (layer.name, layer.parameters(), layer.batch_norm_parameters()),
                (name, parameters, norm)
            );
        }
    }

    #[test]
    fn the_totals_of_the_real_tensors() {
        let net = Network::new(Device::Cpu).unwrap();
        let count = |all: &[Named]| all.iter().map(|n| n.tensor.numel()).sum::<usize>();
        assert_eq!(count(net.parameters()), 3_819_399);
        assert_eq!(count(net.buffers()), 3_968);
        assert_eq!(net.tensors().map(|n| n.tensor.numel()).sum::<usize>(), 3_823_367);
        let of_layer = |name: &str, norm: bool| {
            net.tensors()
                .filter(|n| n.name.split('.').next() == Some(name) && n.name.contains(".bn.") == norm)
                .map(|n| n.tensor.numel())
                .sum::<usize>()
        };
        for layer in &LAYERS {
            assert_eq!(of_layer(layer.name, false), layer.parameters(), "{}", layer.name);
            assert_eq!(
                of_layer(layer.name, true),
                layer.batch_norm_parameters(),
                "{}",
                layer.name
            );
        }
    }

    #[test]
    fn sizes_after_every_layer() {
        // 48 → 24 → 12 → 6 → (valid) 4 → 2, as in the table; 2·2·512 features reach the dense layers.
        let mut side = SIDE;
        for layer in &LAYERS {
            if let Kernel::Conv { size, padding } = layer.kernel {
                side = (side + 2 * padding + 1 - size) / 2;
            }
        }
        assert_eq!(side * side * LAYERS[3].outputs, LAYERS[4].inputs);
        let net = Network::new(Device::Cpu).unwrap();
        let x = to_batch(&vec![0.1; 3 * SIDE * SIDE], Device::Cpu).unwrap();
        assert_eq!(net.forward(&x, Kind::Float).unwrap().size(), [3, 7]);
    }

    #[test]
    fn every_parameter_gets_a_gradient() {
        tch::manual_seed(1);
        let net = Network::new(Device::Cpu).unwrap();
        let pixels: Vec<f32> = (0..8 * SIDE * SIDE)
            .map(|i| ((i * 7919) % 255) as f32 / 255.0 - 0.5)
            .collect();
        let labels = Tensor::from_slice(&[0i64, 1, 2, 3, 4, 5, 6, 0]);
        let pass = net
            .forward_training(pixels, Kind::Float, &Dropout([0.0; 6]))
            .unwrap();
        pass.backward(&pass.logits.cross_entropy_for_logits(&labels))
            .unwrap();
        for p in net.parameters() {
            // A bias in front of batch norm has none: it would be zero up to rounding.
            let idle = p.name.ends_with(".bias") && !p.name.contains(".bn.") && p.name != "output.bias";
            assert_eq!(p.tensor.grad().defined(), !idle, "{}", p.name);
            assert!(
                idle || p.tensor.grad().abs().max().double_value(&[]) > 0.0,
                "{}",
                p.name
            );
        }
    }

    #[test]
    fn negative_scales_are_turned_without_changing_the_network() {
        tch::manual_seed(5);
        let net = Network::new(Device::Cpu).unwrap();
        let _no_grad = tch::no_grad_guard();
        // Batch norm before the pooling, as others train it: the reference.
        let reference = |x: &Tensor| {
            let (w, b) = net.weight_and_bias(0, Kind::Float).unwrap();
            let norm = net.slots[0].norm.unwrap();
            x.conv2d(&w, Some(&b), [1, 1], [1, 1], [1, 1], 1)
                .batch_norm(
                    Some(&net.parameters[norm.scale].tensor),
                    Some(&net.parameters[norm.scale + 1].tensor),
                    Some(&net.buffers[norm.mean].tensor),
                    Some(&net.buffers[norm.mean + 1].tensor),
                    false,
                    0.1,
                    BATCH_NORM_EPSILON,
                    true,
                )
                .max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
                .relu()
        };
        let norm = net.slots[0].norm.unwrap();
        for t in [&net.parameters[norm.scale].tensor, &net.buffers[norm.mean].tensor] {
            t.shallow_clone()
                .copy_(&Tensor::randn([64], (Kind::Float, Device::Cpu)));
        }
        let pixels: Vec<f32> = (0..2 * SIDE * SIDE)
            .map(|i| ((i * 7919) % 255) as f32 / 255.0)
            .collect();
        let x = to_batch(&pixels, Device::Cpu).unwrap();
        let before = reference(&x);
        net.turn_scales_positive().unwrap();
        assert!(net.parameters[norm.scale].tensor.min().double_value(&[]) > 0.0);
        assert!((reference(&x) - before).abs().max().double_value(&[]) < 1e-3);
    }
}
