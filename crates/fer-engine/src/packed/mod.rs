//! The packed engine: the network of [`crate::network`] on CPU kernels written for it. It does not use libtorch.
//!
//! Weights are packed once into the order in which the processor's matrix instructions read them (AMX tiles,
//! AVX-512 BF16 and VNNI, AVX-512 and AVX2 for f32, plain vectors elsewhere). Bias, pooling, ReLU and the
//! conversion to the next layer's element type happen on a layer's sums before they leave the cache, and
//! nothing is allocated per call. It uses one thread: run one engine on each core.
//!
//! - `geometry`: where every activation lies
//! - `pack`: weights → panels of tiles
//! - `kernels`: the calls into `csrc/`, all of the engine's `unsafe` code
//! - `ranges`: the ranges of activations, which int8 needs
//! - `isa`: precisions and instruction sets

mod geometry;
mod isa;
mod kernels;
mod pack;
mod ranges;

use std::sync::Arc;

use geometry::{FEATURES, Gemm, Geometry, HIDDEN, ROWS, ROWS2, ROWS3, ROWS4};
use kernels::{Bytes, Kernels, PackedWeights};

use super::{Classifier, EngineError, EngineInfo, Logits};
use crate::{emotion::CLASSES, network::FoldedNetwork};
use fer_image::Face;

pub use isa::{Isa, Precision};
pub use pack::Ranges;
pub use ranges::{Cost, FILE_QUANT_RANGES, QuantRanges, calibrate};

/// Faces that go through the network together; longer slices are split. A larger batch is no faster
/// and its working memory does not fit the processor's second-level cache.
const CHUNK: usize = 32;
/// Patches of the fourth layer that are held at once, in bytes: they should stay in the second-level cache along with
/// its weights.
const PATCHES4: usize = 1_200_000;

/// The engine, with its own working memory; it belongs to one thread.
pub struct Packed {
    kernels: Kernels,
    affine: (f32, f32),
    layers: Arc<pack::Layers>,
    geometry: Arc<Geometry>,
    work: Work,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({:?}, {:?})", self.precision(), self.isa())
    }
}

/// Activations of up to [`CHUNK`] faces. Borders are zero from the start and never written.
struct Work {
    /// One face.
    input2: Bytes,
    /// Of each face.
    input3: Vec<Bytes>,
    /// One face.
    patches3: Bytes,
    /// Of each face.
    input4: Vec<Bytes>,
    /// As many faces as [`PATCHES4`] allows.
    patches4: Bytes,
    features: Bytes,
    hidden1: Bytes,
    /// Float.
    hidden2: Bytes,
}

impl Work {
    fn new(geometry: &Geometry, precision: Precision) -> Self {
        let element = precision.bytes();
        let rows = CHUNK.next_multiple_of(ROWS);
        Self {
            input2: Bytes::zeroed(geometry.input2),
            input3: (0..CHUNK).map(|_| Bytes::zeroed(geometry.input3)).collect(),
            patches3: Bytes::zeroed(geometry.patches3.bytes()),
            input4: (0..CHUNK).map(|_| Bytes::zeroed(geometry.input4)).collect(),
            patches4: Bytes::zeroed(group(geometry) * geometry.patches4.bytes()),
            features: Bytes::zeroed(rows * FEATURES * element),
            hidden1: Bytes::zeroed(rows * HIDDEN[0] * element),
            hidden2: Bytes::zeroed(rows * HIDDEN[1] * 4),
        }
    }
}

/// Faces whose patches of the fourth layer fit [`PATCHES4`].
fn group(geometry: &Geometry) -> usize {
    (PATCHES4 / geometry.patches4.bytes()).clamp(1, CHUNK)
}

impl Packed {
    /// Packs the weights for the best instructions this machine has.
    ///
    /// # Errors
    /// [`EngineError::Packed`] if the machine cannot compute in that precision, the weights are not this
    /// network's, or there are no ranges for int8.
    pub fn new(
        network: &FoldedNetwork,
        precision: Precision,
        ranges: Option<&Ranges>,
    ) -> Result<Self, EngineError> {
        let isa = Isa::best(precision).ok_or_else(|| {
            EngineError::Packed(format!(
                "this processor has no instructions for {}; use another --precision",
                precision.name()
            ))
        })?;
        Self::with_isa(network, precision, ranges, isa)
    }

    /// As [`Packed::new`], with instructions chosen by the caller.
    fn with_isa(
        network: &FoldedNetwork,
        precision: Precision,
        ranges: Option<&Ranges>,
        isa: Isa,
    ) -> Result<Self, EngineError> {
        let kernels = Kernels::get(isa, precision).ok_or_else(|| {
            EngineError::Packed(format!(
                "this machine cannot compute {} with {}",
                precision.name(),
                isa.name()
            ))
        })?;
        let layers = pack::Layers::pack(&network.layers, precision, ranges).map_err(EngineError::Packed)?;
        let geometry = Geometry::new(precision.bytes(), CHUNK);
        let work = Work::new(&geometry, precision);
        let (factor, offset) = network.input.affine();
        let affine = (factor as f32, offset as f32);
        Ok(Self {
            kernels,
            affine,
            layers: Arc::new(layers),
            geometry: Arc::new(geometry),
            work,
        })
    }

    /// Another engine on the same packed weights, with its own working memory, for another thread.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self {
            kernels: self.kernels,
            affine: self.affine,
            layers: Arc::clone(&self.layers),
            geometry: Arc::clone(&self.geometry),
            work: Work::new(&self.geometry, self.precision()),
        }
    }

    /// The instructions in use.
    #[must_use]
    pub const fn isa(&self) -> Isa {
        self.kernels.isa
    }

    /// The precision in use.
    #[must_use]
    pub const fn precision(&self) -> Precision {
        self.kernels.precision
    }

    /// Up to [`CHUNK`] faces, layer by layer, so that a layer's weights are fetched once for all of them.
    fn run_chunk(&mut self, faces: &[Face], logits: &mut Vec<Logits>) -> Result<(), &'static str> {
        let precision = self.precision();
        let Self {
            kernels,
            affine,
            layers,
            geometry,
            work,
        } = self;
        let gemm = |layout: &Gemm, rows: usize, input: &Bytes, weights: &PackedWeights, out: &mut [u8]| {
            kernels.gemm(layout, rows, input, weights, precision, out)
        };
        // The first two layers face by face: the input of the second, 400 kB in float, stays in the cache between them.
        for (face, input3) in faces.iter().zip(&mut work.input3) {
            let out = &mut work.input2;
            kernels.conv1(&face.0, *affine, &layers.conv1, &geometry.conv1, out)?;
            let out = input3.as_mut_slice();
            gemm(&geometry.conv2, ROWS2, &work.input2, &layers.conv2, out)?;
        }
        for (input3, input4) in work.input3.iter().zip(&mut work.input4).take(faces.len()) {
            kernels.im2col(&geometry.patches3, input3, work.patches3.as_mut_slice())?;
            let out = input4.as_mut_slice();
            gemm(&geometry.conv3, ROWS3, &work.patches3, &layers.conv3, out)?;
        }
        // The fourth layer has the most weights: several faces share a pass over them, but not so many that their
        // patches push the weights out of the cache.
        let group = group(geometry);
        let features = FEATURES * precision.bytes();
        let patches = geometry.patches4.bytes();
        for (inputs, out) in work.input4[..faces.len()]
            .chunks(group)
            .zip(work.features.as_mut_slice().chunks_mut(group * features))
        {
            for (input, patches) in inputs
                .iter()
                .zip(work.patches4.as_mut_slice().chunks_exact_mut(patches))
            {
                kernels.im2col(&geometry.patches4, input, patches)?;
            }
            let rows = inputs.len() * ROWS4;
            gemm(&geometry.conv4, rows, &work.patches4, &layers.conv4, out)?;
        }
        // A dense layer's row is a face.
        let n = faces.len();
        let (hidden1, hidden2) = (work.hidden1.as_mut_slice(), work.hidden2.as_mut_slice());
        gemm(&geometry.dense1, n, &work.features, &layers.dense1, hidden1)?;
        // In float, whatever the layers before are in: the output layer is.
        kernels.gemm(
            &geometry.dense2,
            n,
            &work.hidden1,
            &layers.dense2,
            Precision::F32,
            hidden2,
        )?;
        let hidden = work.hidden2.as_slice().chunks_exact(HIDDEN[1] * 4).take(n);
        logits.extend(hidden.map(|h| output_layer(h, layers)));
        Ok(())
    }
}

/// The last layer, in float.
fn output_layer(hidden: &[u8], layers: &pack::Layers) -> Logits {
    let mut sums = [0f32; CLASSES + 1];
    for (value, weights) in hidden.as_chunks::<4>().0.iter().zip(&layers.output) {
        let value = f32::from_ne_bytes(*value);
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += value * weight;
        }
    }
    std::array::from_fn(|c| sums[c] + layers.output_bias[c])
}

impl Classifier for Packed {
    fn classify(&mut self, faces: &[Face]) -> Result<Vec<Logits>, EngineError> {
        let mut logits = Vec::with_capacity(faces.len());
        for chunk in faces.chunks(CHUNK) {
            self.run_chunk(chunk, &mut logits)
                .map_err(|what| EngineError::Packed(format!("internal: {what} does not fit")))?;
        }
        Ok(logits)
    }

    fn info(&self) -> EngineInfo {
        EngineInfo {
            engine: "packed",
            precision: self.precision().name(),
            device: "cpu".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
