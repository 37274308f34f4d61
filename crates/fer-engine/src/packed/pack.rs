//! Folded weights → panels of tiles in the order in which the kernels read them, in the engine's precision.

use super::{
    Precision,
    geometry::{CHANNELS1, CHANNELS2, CHANNELS3, HIDDEN, ROWS, STEP, TILE},
    kernels::{Bytes, Conv1Weights, PackedWeights},
};
use crate::{
    emotion::CLASSES,
    network::{Folded, LAYERS},
};

/// Largest value of each 8-bit activation: after the four convolutions and the first dense layer. A value `x`
/// is stored as `round(255 · x / largest)`.
pub type Ranges = [f32; 5];

/// All layers, packed.
pub(super) struct Layers {
    pub(super) conv1: Conv1Weights,
    pub(super) conv2: PackedWeights,
    pub(super) conv3: PackedWeights,
    pub(super) conv4: PackedWeights,
    pub(super) dense1: PackedWeights,
    pub(super) dense2: PackedWeights,
    /// `[512][7]` and a column of zeros; in float.
    pub(super) output: Vec<[f32; CLASSES + 1]>,
    pub(super) output_bias: [f32; CLASSES],
}

/// Value of one 8-bit step.
fn step(largest: f32) -> f32 {
    largest / 255.0
}

impl Layers {
    /// Packs the seven layers of [`crate::network::LAYERS`]. Fails if a layer has another size or a weight that is not
    /// finite, or int8 is asked for without positive ranges.
    pub(super) fn pack(
        layers: &[Folded],
        precision: Precision,
        ranges: Option<&Ranges>,
    ) -> Result<Self, String> {
        let [conv1, conv2, conv3, conv4, dense1, dense2, output] = layers else {
            return Err(format!("{} layers; expected 7", layers.len()));
        };
        for (i, (layer, spec)) in layers.iter().zip(&LAYERS).enumerate() {
            let weights: usize = spec.weight_shape().iter().product();
            if layer.weight.len() != weights || layer.bias.len() != spec.outputs {
                return Err(format!("layer {} is not of this network's size", i + 1));
            }
            if !layer.weight.iter().chain(&layer.bias).all(|w| w.is_finite()) {
                return Err(format!("layer {} has a weight that is not finite", i + 1));
            }
        }
        let ranges = match (precision, ranges) {
            (Precision::Int8, Some(r)) if r.iter().all(|x| x.is_finite() && *x > 0.0) => Some(r),
            (Precision::Int8, _) => return Err("int8 needs a positive range for each activation".to_owned()),
            _ => None,
        };
        // Steps of what goes into and comes out of layer `i` (of 1–5: the matrix products).
        let steps = |i: usize| ranges.map(|r| (step(r[i - 1]), r.get(i).map_or(1.0, |x| step(*x))));
        // The first layer computes in float, but writes steps.
        let first = ranges.map_or(1.0, |r| 1.0 / step(r[0]));
        let pack = |layer, order: &[usize], steps| pack_layer(precision, layer, order, steps);
        Ok(Self {
            conv1: Conv1Weights {
                weight: Box::new(std::array::from_fn(|t| {
                    std::array::from_fn(|c| conv1.weight[c * 9 + t] * first)
                })),
                bias: std::array::from_fn(|c| conv1.bias[c] * first),
            },
            conv2: pack(conv2, &conv_order(CHANNELS1, 25), steps(1)),
            conv3: pack(conv3, &conv_order(CHANNELS2, 9), steps(2)),
            conv4: pack(conv4, &conv_order(CHANNELS3, 9), steps(3)),
            // Flattened channel by channel in the file, pixel by pixel here.
            dense1: pack(dense1, &conv_order(CHANNELS3, 4), steps(4)),
            dense2: pack(dense2, &(0..HIDDEN[0]).collect::<Vec<_>>(), steps(5)),
            // The file has no row for the column of zeros.
            output: (0..HIDDEN[1])
                .map(|k| {
                    std::array::from_fn(|c| output.weight.get(c * HIDDEN[1] + k).copied().unwrap_or(0.0))
                })
                .collect(),
            output_bias: std::array::from_fn(|c| output.bias[c]),
        })
    }
}

/// Index into a file's row `[inputs][taps]` of each value in the kernels' order, `[taps][inputs]`.
fn conv_order(inputs: usize, taps: usize) -> Vec<usize> {
    (0..taps)
        .flat_map(|t| (0..inputs).map(move |c| c * taps + t))
        .collect()
}

/// `order` has, for each position along K, the column of the file's weight matrix; `steps` are those of
/// input and output for int8.
fn pack_layer(
    precision: Precision,
    layer: &Folded,
    order: &[usize],
    steps: Option<(f32, f32)>,
) -> PackedWeights {
    let inputs = order.len();
    let outputs = layer.bias.len();
    let bytes = precision.bytes();
    let n_tiles = outputs / ROWS;
    let k_steps = inputs * bytes / STEP;
    let mut tiles = Bytes::zeroed(n_tiles * k_steps * TILE);
    let mut scale = Vec::new();
    let mut bias = layer.bias.clone();
    let rows: Vec<&[f32]> = layer.weight.chunks_exact(inputs).collect();
    let mut inverse = vec![1.0; outputs];
    if let Some((step_in, step_out)) = steps {
        for (c, row) in rows.iter().enumerate() {
            // Symmetric, per output channel.
            let largest = row.iter().fold(0f32, |m, w| m.max(w.abs()));
            let step_weight = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            inverse[c] = 1.0 / step_weight;
            scale.push(step_weight * step_in / step_out);
            bias[c] /= step_out;
        }
    }
    // Row `quad` of a tile holds, for each of 16 output channels, the four bytes of K that one multiply-add of
    // the processor takes: one float, two bf16 or four int8.
    let per_quad = 4 / bytes;
    let out = tiles.as_mut_slice();
    for (c, row) in rows.iter().enumerate() {
        for (k, column) in order.iter().enumerate() {
            let tile = c / ROWS * k_steps + k * bytes / STEP;
            let quad = k / per_quad % ROWS;
            let at = tile * TILE + quad * STEP + c % ROWS * 4 + k % per_quad * bytes;
            let value = row[*column];
            let element = &mut out[at..at + bytes];
            match precision {
                Precision::F32 => element.copy_from_slice(&value.to_le_bytes()),
                Precision::Bf16 => element.copy_from_slice(&bf16(value).to_le_bytes()),
                Precision::Int8 => {
                    let q = (value * inverse[c]).round_ties_even().clamp(-127.0, 127.0) as i8;
                    element.copy_from_slice(&q.to_le_bytes());
                }
            }
        }
    }
    PackedWeights {
        tiles,
        k_steps,
        n_tiles,
        scale,
        bias,
    }
}

/// Nearest bfloat16 of a finite value, ties to even.
fn bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest_even() {
        // Halfway between two, both ways, and close to the largest.
        let tie = |bits: u32| (f32::from_bits(bits | 0x8000), bits >> 16);
        let cases = [
            (1.0, 0x3F80),
            (-2.0, 0xC000),
            tie(0x3F80_0000),
            (tie(0x3F81_0000).0, 0x3F82),
            (3.3e38, 0x7F78),
        ];
        for (x, bits) in cases {
            assert_eq!(u32::from(bf16(x)), bits, "{x}");
        }
    }

    #[test]
    fn refuses_what_is_not_this_network() {
        let refusal = |layers: &[Folded], precision, ranges| {
            let packed = Layers::pack(layers, precision, ranges);
            packed.err().unwrap_or_default()
        };
        assert!(refusal(&[], Precision::F32, None).contains("expected 7"));
        let plain = LAYERS.map(|layer| Folded {
            weight: vec![0.1; layer.weight_shape().iter().product()],
            bias: vec![0.0; layer.outputs],
        });
        let mut all = plain.to_vec();
        assert_eq!(refusal(&all, Precision::F32, None), "");
        assert!(refusal(&all, Precision::Int8, None).contains("range"));
        let zero = [1.0, 1.0, 0.0, 1.0, 1.0];
        assert!(refusal(&all, Precision::Int8, Some(&zero)).contains("range"));
        all[2].weight[5] = f32::NAN;
        assert!(refusal(&all, Precision::F32, None).contains("not finite"));
        all[2].weight.pop();
        assert!(refusal(&all, Precision::F32, None).contains("size"));
    }
}
