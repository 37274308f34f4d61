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

const fn layer(name: &'static str, kernel: Kernel, inputs: usize, outputs: usize, batch_norm: bool) -> Layer {
    Layer {
        name,
        kernel,
        inputs,
        outputs,
        batch_norm,
    }
}

const fn conv(size: usize, padding: usize) -> Kernel {
    Kernel::Conv { size, padding }
}

/// The network, from the face to the logits.
pub const LAYERS: [Layer; 7] = [
    layer("conv1", conv(3, 1), 1, 64, true),
    layer("conv2", conv(5, 2), 64, 128, true),
    layer("conv3", conv(3, 1), 128, 512, true),
    layer("conv4", conv(3, 0), 512, 512, true),
    layer("dense1", Kernel::Dense, 2 * 2 * 512, 256, true),
    layer("dense2", Kernel::Dense, 256, 512, true),
    layer("output", Kernel::Dense, 512, CLASSES, false),
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
}
