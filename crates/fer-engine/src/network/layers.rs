//! The network's table of layers.

use crate::emotion::CLASSES;

/// Batch norm's ε, Keras' default.
pub const BATCH_NORM_EPSILON: f64 = 1e-3;

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

/// The network, from the face to the logits.
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
    pub fn weight_shape(&self) -> Vec<usize> {
        match self.kernel {
            Kernel::Conv { size, .. } => vec![self.outputs, self.inputs, size, size],
            Kernel::Dense => vec![self.outputs, self.inputs],
        }
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
