//! The first convolution and its pooling, in training, in one pass.
//!
//! libtorch's convolution of one channel runs at a fiftieth of the speed of the others, and its pooling of 64 channels
//! in bfloat16 costs as much as a wide convolution: together they took two fifths of a training step, for 0.5 % of its
//! arithmetic. Here both are one loop in `csrc/block1.cpp`, which never stores the values that pooling discards.
//!
//! The `unsafe` blocks are the calls: the C++ side is pure arithmetic on memory that is passed in, and every size is
//! checked here first.
#![allow(unsafe_code)]

use std::ffi::c_void;

use tch::{Kind, TchError, Tensor};

use super::{as_i64, floats};
use fer_image::PIXELS;

/// Width and height after the pooling.
const POOLED: usize = 24;
const CHANNELS: usize = 64;
const TAPS: usize = 9;
/// Values of an image after the pooling.
const VALUES: usize = POOLED * POOLED * CHANNELS;

// Rust has no bfloat16: its bits are handled as 16-bit integers, here and in the tensors that they are copied from.
unsafe extern "C" {
    fn fer_block1_forward(
        images: *const f32,
        n: usize,
        weight: *const f32,
        bias: *const f32,
        out: *mut c_void,
        which: *mut u8,
        bf16: bool,
    );
    fn fer_block1_backward(
        images: *const f32,
        n: usize,
        grad: *const c_void,
        which: *const u8,
        sum: *mut f32,
        bf16: bool,
    );
}

/// An element of output and gradient.
trait Element: tch::kind::Element + Copy + Default + Send + Sync {
    const BF16: bool;
}

impl Element for f32 {
    const BF16: bool = false;
}

impl Element for i16 {
    const BF16: bool = true;
}

/// The number of images; panics if the other sizes do not fit it, which would be a bug in this file.
fn count(images: &[f32], values: usize, which: usize) -> usize {
    let n = images.len() / PIXELS;
    assert!(
        images.len() == n * PIXELS && values == n * VALUES && which == n * VALUES,
        "sizes of the first block do not agree"
    );
    n
}

/// Fills `out` and `which`, both [`VALUES`] an image.
fn forward<T: Element>(images: &[f32], weight: &[f32], bias: &[f32], out: &mut [T], which: &mut [u8]) {
    let n = count(images, out.len(), which.len());
    assert!(weight.len() == TAPS * CHANNELS && bias.len() == CHANNELS);
    let out = out.as_mut_ptr().cast();
    // SAFETY: every slice has the length the function reads or writes for `n` images, as just checked, of elements of
    // the size that `BF16` says; the mutable ones are exclusive borrows.
    unsafe {
        let (weight, bias) = (weight.as_ptr(), bias.as_ptr());
        fer_block1_forward(images.as_ptr(), n, weight, bias, out, which.as_mut_ptr(), T::BF16);
    }
}

/// Adds the weight's gradient to `sum`.
fn backward<T: Element>(images: &[f32], grad: &[T], which: &[u8], sum: &mut [f32; TAPS * CHANNELS]) {
    let n = count(images, grad.len(), which.len());
    let grad = grad.as_ptr().cast();
    // SAFETY: as above.
    unsafe {
        fer_block1_backward(
            images.as_ptr(),
            n,
            grad,
            which.as_ptr(),
            sum.as_mut_ptr(),
            T::BF16,
        );
    }
}

/// Output of the forward pass, and what the backward pass needs.
#[derive(Debug)]
pub(super) struct Block1 {
    /// `[N,64,24,24]`, channels-last, in the kind asked for. A leaf of autograd: libtorch's backward pass ends here, and
    /// [`weight_gradient`](Self::weight_gradient) goes on from its gradient.
    pub(super) output: Tensor,
    images: Vec<f32>,
    /// Which of the four values (0–3, row by row) each pooled value is.
    which: Vec<u8>,
}

impl Block1 {
    /// Convolves and pools scaled images (2,304 values each) with `weight` `[64,1,3,3]` and `bias` `[64]`
    /// (float, CPU). The output is float or bfloat16.
    pub(super) fn forward(
        images: Vec<f32>,
        weight: &Tensor,
        bias: &Tensor,
        kind: Kind,
    ) -> Result<Self, TchError> {
        if kind == Kind::BFloat16 {
            Self::forward_as::<i16>(images, weight, bias, kind)
        } else {
            Self::forward_as::<f32>(images, weight, bias, kind)
        }
    }

    fn forward_as<T: Element>(
        images: Vec<f32>,
        weight: &Tensor,
        bias: &Tensor,
        kind: Kind,
    ) -> Result<Self, TchError> {
        // [64,1,3,3] → [9][64]: the kernel works on 16 output channels at a time, which must lie side by side.
        let weight = weight.f_reshape([as_i64(CHANNELS), as_i64(TAPS)])?.f_t_copy()?;
        let (weight, bias) = (floats(&weight)?, floats(bias)?);
        let n = images.len() / PIXELS;
        let mut out = vec![T::default(); n * VALUES];
        let mut which = vec![0u8; n * VALUES];
        // Images are independent in this direction: the number of threads does not change the result.
        let share = share(n);
        std::thread::scope(|scope| {
            let parts = images
                .chunks(share * PIXELS)
                .zip(out.chunks_mut(share * VALUES))
                .zip(which.chunks_mut(share * VALUES));
            for ((images, out), which) in parts {
                let (weight, bias) = (&weight, &bias);
                scope.spawn(move || forward(images, weight, bias, out, which));
            }
        });
        let side = as_i64(POOLED);
        // The kernel writes channels innermost; permuting the view gives libtorch [N,C,H,W] with channels-last strides.
        let output = Tensor::f_from_slice(&out)?
            .f_view([as_i64(n), side, side, as_i64(CHANNELS)])?
            .f_view_dtype(kind)?
            .f_permute([0, 3, 1, 2])?
            .f_set_requires_grad(true)?;
        Ok(Self {
            output,
            images,
            which,
        })
    }

    /// The weight's gradient `[64,1,3,3]`, computed from the gradient that libtorch's backward pass stored in
    /// [`output`](Self::output). The bias has none: batch norm subtracts it again.
    pub(super) fn weight_gradient(&self) -> Result<Tensor, TchError> {
        if self.output.kind() == Kind::BFloat16 {
            self.gradient_as::<i16>()
        } else {
            self.gradient_as::<f32>()
        }
    }

    fn gradient_as<T: Element>(&self) -> Result<Tensor, TchError> {
        // The layout and the bits that the kernel reads; a copy only where libtorch chose other strides.
        let grad = self
            .output
            .f_grad()?
            .f_permute([0, 2, 3, 1])?
            .f_contiguous()?
            .f_view_dtype(T::KIND)?;
        let mut values = vec![T::default(); self.which.len()];
        let len = values.len();
        grad.f_copy_data(&mut values, len)?;
        let share = share(self.images.len() / PIXELS);
        let sums: Vec<_> = std::thread::scope(|scope| {
            let parts = self
                .images
                .chunks(share * PIXELS)
                .zip(values.chunks(share * VALUES))
                .zip(self.which.chunks(share * VALUES));
            let threads: Vec<_> = parts
                .map(|((images, grad), which)| {
                    scope.spawn(move || {
                        let mut sum = [0f32; TAPS * CHANNELS];
                        backward(images, grad, which, &mut sum);
                        sum
                    })
                })
                .collect();
            // Floating-point sums depend on the order: joined in order, the same number of threads gives the same bits.
            threads
                .into_iter()
                .map(std::thread::ScopedJoinHandle::join)
                .collect()
        });
        let mut sum = vec![0f32; TAPS * CHANNELS];
        for part in sums {
            let part =
                part.map_err(|_| TchError::Torch("a thread of the first block panicked".to_owned()))?;
            for (s, p) in sum.iter_mut().zip(part) {
                *s += p;
            }
        }
        Tensor::f_from_slice(&sum)?
            .f_view([as_i64(TAPS), as_i64(CHANNELS)])?
            .f_t_copy()?
            .f_reshape([as_i64(CHANNELS), 1, 3, 3])
    }
}

fn share(n: usize) -> usize {
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
    n.div_ceil(threads).max(1)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// The same with libtorch's own operators, in float.
    fn by_libtorch(images: &[f32], weight: &Tensor, bias: &Tensor, factor: &Tensor) -> (Tensor, Tensor) {
        let weight = weight.copy().set_requires_grad(true);
        let out = Tensor::from_slice(images)
            .view([-1, 1, 48, 48])
            .conv2d(&weight, Some(bias), [1, 1], [1, 1], [1, 1], 1)
            .max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        (&out * factor).sum(Kind::Float).backward();
        (out.detach(), weight.grad())
    }

    #[test]
    fn output_and_gradient_are_libtorchs() {
        tch::manual_seed(3);
        let images: Vec<f32> = (0..5 * PIXELS)
            .map(|i| ((i * 7919) % 251) as f32 / 100.0 - 1.2)
            .collect();
        let float = (Kind::Float, Device::Cpu);
        let weight = Tensor::randn([64, 1, 3, 3], float);
        let bias = Tensor::randn([64], float);
        let factor = Tensor::randn([5, 64, 24, 24], float);
        let (out, grad) = by_libtorch(&images, &weight, &bias, &factor);
        for (kind, tolerance) in [(Kind::Float, 1e-4), (Kind::BFloat16, 2e-2)] {
            let ours = Block1::forward(images.clone(), &weight, &bias, kind).unwrap();
            assert_eq!((ours.output.kind(), ours.output.size()), (kind, out.size()));
            (&ours.output * &factor).sum(Kind::Float).backward();
            let off = |a: &Tensor, b: &Tensor| {
                (a.to_kind(Kind::Float) - b).abs().max().double_value(&[]) / b.abs().max().double_value(&[])
            };
            assert!(off(&ours.output.detach(), &out) < tolerance, "{kind:?}");
            assert!(
                off(&ours.weight_gradient().unwrap(), &grad) < tolerance,
                "{kind:?}"
            );
        }
    }
}
