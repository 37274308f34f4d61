//! The network of "Convolutional Neural Networks for Facial Expression Recognition" (arXiv 1704.06756):
//! four convolutions and three dense layers, 3,823,367 parameters.
//!
//! Every convolution and hidden dense layer is followed by batch norm, ReLU and dropout, every convolution by 2×2 max
//! pooling. The pooling is computed first: batch norm's scale is kept positive, so it and ReLU are monotone and the
//! function is the same, on a quarter of the values. (Batch statistics are then those of the pooled values.)

use fer_engine::network::LayerWeights;
use tch::{Device, Kind, TchError, Tensor};

mod block1;
mod pass;
mod precision;
mod scales;

pub(crate) use fer_engine::network::{BATCH_NORM_EPSILON, Kernel, LAYERS};
pub use precision::{TrainingPrecision, cpu_has_bf16};

use fer_image::SIDE;

/// For sizes, which are at most thousands.
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

/// Tensors made from others, under the same names.
pub(crate) fn map(
    all: &[Named],
    make: impl Fn(&Tensor) -> Result<Tensor, TchError>,
) -> Result<Vec<Named>, TchError> {
    all.iter()
        .map(|n| {
            Ok(Named {
                name: n.name.clone(),
                tensor: make(&n.tensor)?,
            })
        })
        .collect()
}

/// Where a layer's tensors start in [`Network::parameters`] and [`Network::buffers`].
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
    pub fn new(device: Device) -> Result<Self, TchError> {
        Self::with(device, |shape, std| {
            // Drawn on the CPU, so that a seed means the same weights on every device.
            Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?.f_mul_scalar(std)
        })
    }

    /// A network of zeros, for weights that are loaded into it; drawing them would take longer than loading.
    pub(crate) fn blank(device: Device) -> Result<Self, TchError> {
        Self::with(device, |shape, _| {
            Tensor::f_zeros(shape, (Kind::Float, Device::Cpu))
        })
    }

    /// A network whose weights are made from their shape and He's standard deviation.
    fn with(
        device: Device,
        weight: impl Fn(&[i64], f64) -> Result<Tensor, TchError>,
    ) -> Result<Self, TchError> {
        let _no_grad = tch::no_grad_guard();
        let (mut parameters, mut buffers, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        let float = (Kind::Float, device);
        for layer in &LAYERS {
            let named = |what: &str, tensor| Named {
                name: format!("{}.{what}", layer.name),
                tensor,
            };
            let out = [as_i64(layer.outputs)];
            let shape: Vec<i64> = layer.weight_shape().into_iter().map(as_i64).collect();
            let fan_in: i64 = shape[1..].iter().product();
            #[allow(clippy::cast_precision_loss)]
            let std = (2.0 / fan_in as f64).sqrt();
            let weight = weight(&shape, std)?;
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

    pub fn parameters(&self) -> &[Named] {
        &self.parameters
    }

    /// Parameters, then buffers.
    pub fn tensors(&self) -> impl Iterator<Item = &Named> {
        self.parameters.iter().chain(&self.buffers)
    }

    pub(crate) fn weights(&self) -> Result<Vec<LayerWeights>, TchError> {
        LayerWeights::collect(|name, _| {
            let named = self
                .tensors()
                .find(|n| n.name == name)
                .ok_or_else(|| TchError::Torch(format!("the network has no tensor {name}")))?;
            floats(&named.tensor)
        })
    }

    pub(crate) const fn device(&self) -> Device {
        self.device
    }

    /// A copy with its own storage and no gradients, on the same device.
    pub fn snapshot(&self) -> Result<Self, TchError> {
        let _no_grad = tch::no_grad_guard();
        let copy = |tensor: &Tensor| {
            // Keeps the strides, so that the average has the layout of the weights.
            let mut copy = tensor.f_detach()?.f_zeros_like()?;
            copy.f_copy_(tensor)?;
            Ok(copy)
        };
        Ok(Self {
            parameters: map(&self.parameters, copy)?,
            buffers: map(&self.buffers, copy)?,
            slots: self.slots.clone(),
            device: self.device,
        })
    }
}

/// A tensor's values, in order.
fn floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let tensor = tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Float)?
        .f_contiguous()?;
    let mut values = vec![0f32; tensor.numel()];
    let count = values.len();
    tensor.f_copy_data(&mut values, count)?;
    Ok(values)
}

/// Scaled pixels, 2,304 a face, as the batch `[N,1,48,48]`, channels-last.
pub fn to_batch(pixels: &[f32], device: Device) -> Result<Tensor, TchError> {
    let side = as_i64(SIDE);
    // One channel: the same bytes are both layouts, but only these strides are read as channels-last.
    Tensor::f_from_slice(pixels)?
        .f_to_device(device)?
        .f_view([-1, side, side, 1])?
        .f_permute([0, 3, 1, 2])
}

/// The same values with channels innermost in memory, which is what oneDNN's convolutions are fastest on.
pub fn channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    if x.dim() != 4 {
        return x.f_contiguous();
    }
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests;
