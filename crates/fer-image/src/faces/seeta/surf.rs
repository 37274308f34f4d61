//! Gradient histograms (SURF features) of a window, and the networks that score it by them.

use super::gray::WINDOW;

/// Gradient sums: dx, |dx| where dy ≥ 0; dx, |dx| where dy < 0; dy, |dy| where dx ≥ 0; dy, |dy| where dx < 0.
const CHANNELS: usize = 8;
/// A value for each column of the window. 40 rows of at most 2 × 255 fit 16 bits.
type Columns = [i16; WINDOW];
/// Each feature is four cells.
const FEATURE: usize = 4 * CHANNELS;

/// Memory that a detection reuses for every window.
pub(super) struct Scratch {
    /// The window to score.
    pub(super) window: [[u8; WINDOW]; WINDOW],
    /// Entry `y` holds the sums over the `y` rows on top, column by column.
    sums: Vec<[Columns; CHANNELS]>,
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            window: [[0; WINDOW]; WINDOW],
            sums: vec![[[0; WINDOW]; CHANNELS]; WINDOW + 1],
            input: Vec::new(),
            output: Vec::new(),
        }
    }
}

impl Scratch {
    /// Fills the sums from the window.
    #[inline(always)]
    fn sum_gradients(&mut self) {
        const LAST: usize = WINDOW - 1;
        let (mut dx, mut dy) = ([0; WINDOW], [0; WINDOW]);
        for (y, row) in self.window.iter().enumerate() {
            // Not `map`, whose closure would stay outside of what `pulp` compiles for AVX2.
            let mut wide = [0; WINDOW];
            for (wide, &p) in wide.iter_mut().zip(row) {
                *wide = i16::from(p);
            }
            for x in 1..LAST {
                dx[x] = wide[x + 1] - wide[x - 1];
            }
            // At the border the difference to the one neighbour counts twice.
            dx[0] = 2 * (wide[1] - wide[0]);
            dx[LAST] = 2 * (wide[LAST] - wide[LAST - 1]);
            let (up, down) = (&self.window[y.saturating_sub(1)], &self.window[(y + 1).min(LAST)]);
            let weight = if y == 0 || y == LAST { 2 } else { 1 };
            for x in 0..WINDOW {
                dy[x] = weight * (i16::from(down[x]) - i16::from(up[x]));
            }
            if let [above, below, ..] = &mut self.sums[y..] {
                add_row(above, below, &dx, &dy);
            }
        }
    }

    /// The feature's four cells, row by row, together of length 1.
    #[inline(always)]
    fn append(&mut self, patch: Patch) {
        let (width, height) = (patch.width / 2, patch.height / 2);
        let mut cells = [0i32; FEATURE];
        for (cell, values) in cells.chunks_exact_mut(CHANNELS).enumerate() {
            let (x, y) = (patch.x + cell % 2 * width, patch.y + cell / 2 * height);
            let (top, bottom) = (&self.sums[y], &self.sums[y + height]);
            for ((value, top), bottom) in values.iter_mut().zip(top).zip(bottom) {
                for (&t, &b) in top[x..x + width].iter().zip(&bottom[x..x + width]) {
                    *value += i32::from(b) - i32::from(t);
                }
            }
        }
        let mut squares = 0.0;
        for v in cells {
            squares += f64::from(v) * f64::from(v);
        }
        let norm = squares.sqrt();
        let factor = if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 };
        let mut feature = [0.0; FEATURE];
        for (value, &v) in feature.iter_mut().zip(&cells) {
            *value = v as f32 * factor;
        }
        self.input.extend_from_slice(&feature);
    }
}

/// `below = above + ` the row's gradients, each in its channels.
#[inline(always)]
fn add_row(above: &[Columns; CHANNELS], below: &mut [Columns; CHANNELS], dx: &Columns, dy: &Columns) {
    // All ones where the sign is negative. Separate arrays, so that the compiler can tell that they do not overlap
    // the sums and works on many columns at once.
    let (mut west, mut north, mut ax, mut ay) = ([0; WINDOW], [0; WINDOW], [0; WINDOW], [0; WINDOW]);
    for x in 0..WINDOW {
        (west[x], north[x]) = (dx[x] >> 15, dy[x] >> 15);
        (ax[x], ay[x]) = (dx[x].abs(), dy[x].abs());
    }
    below[0] = added(&above[0], dx, &north, -1);
    below[1] = added(&above[1], &ax, &north, -1);
    below[2] = added(&above[2], dx, &north, 0);
    below[3] = added(&above[3], &ax, &north, 0);
    below[4] = added(&above[4], dy, &west, -1);
    below[5] = added(&above[5], &ay, &west, -1);
    below[6] = added(&above[6], dy, &west, 0);
    below[7] = added(&above[7], &ay, &west, 0);
}

/// The sums plus the values where the mask, flipped, is all ones.
#[inline(always)]
fn added(sums: &Columns, values: &Columns, mask: &Columns, flip: i16) -> Columns {
    let mut sums = *sums;
    for x in 0..WINDOW {
        sums[x] += values[x] & (mask[x] ^ flip);
    }
    sums
}

/// Where in the window a feature lies; both sides are even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

impl Patch {
    /// All the patches that the model file numbers, in its order: for each shape every size from
    /// 16 to 40 pixels, at every sixteenth pixel.
    pub(super) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (wide, high) in [(1, 1), (1, 2), (2, 1), (2, 3), (3, 2)] {
            for height in 16..=WINDOW {
                let width = height / high * wide;
                if height % 2 != 0 || height % high != 0 || width % 2 != 0 || !(16..=WINDOW).contains(&width)
                {
                    continue;
                }
                for y in (0..=WINDOW - height).step_by(16) {
                    for x in (0..=WINDOW - width).step_by(16) {
                        all.push(Self { x, y, width, height });
                    }
                }
            }
        }
        all
    }
}

/// A fully connected layer.
pub(super) struct Layer {
    /// A row of weights for each output.
    pub(super) weights: Vec<f32>,
    /// One for each output.
    pub(super) biases: Vec<f32>,
}

/// Features of a window → how likely it is a face, and where in it the face lies.
pub(super) struct Network {
    /// The features it reads.
    pub(super) patches: Vec<Patch>,
    /// The least probability that passes.
    pub(super) threshold: f32,
    /// ReLU after each but the last, which ends in a sigmoid and has four outputs.
    pub(super) layers: Vec<Layer>,
}

impl Network {
    /// Probability of a face, shift right, shift down, growth of the window in `scratch`, each 0–1.
    #[inline(always)]
    pub(super) fn run(&self, scratch: &mut Scratch) -> [f32; 4] {
        scratch.sum_gradients();
        scratch.input.clear();
        for &patch in &self.patches {
            scratch.append(patch);
        }
        let last = self.layers.len().saturating_sub(1);
        for (i, layer) in self.layers.iter().enumerate() {
            scratch.output.clear();
            let rows = layer.weights.chunks_exact(scratch.input.len().max(1));
            for (row, bias) in rows.zip(&layer.biases) {
                let sum = dot(row, &scratch.input) + bias;
                scratch.output.push(if i == last {
                    1.0 / (1.0 + (-sum).exp())
                } else {
                    sum.max(0.0)
                });
            }
            std::mem::swap(&mut scratch.input, &mut scratch.output);
        }
        scratch.input.first_chunk().copied().unwrap_or_default()
    }
}

/// Sixteen independent sums, so that the processor can add several at once.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let mut rest = 0.0;
    for (a, b) in a.remainder().iter().zip(b.remainder()) {
        rest += a * b;
    }
    for (a, b) in a.zip(b) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_lie_in_the_window() {
        let all = Patch::all();
        assert!(
            all.iter()
                .all(|p| p.x + p.width <= WINDOW && p.y + p.height <= WINDOW)
        );
        assert_eq!((all[0].width, all[0].x, all[1].x), (16, 0, 16));
    }

    #[test]
    fn sums_are_those_of_the_gradients() {
        let mut scratch = Scratch::default();
        for (y, row) in scratch.window.iter_mut().enumerate() {
            for (x, p) in row.iter_mut().enumerate() {
                // A slope to the right on top, to the left below.
                *p = if y < 20 { 3 * x } else { 3 * (WINDOW - x) } as u8;
            }
        }
        scratch.sum_gradients();
        let total = |rows: usize| scratch.sums[rows].map(|c| c.iter().map(|&v| i32::from(v)).sum::<i32>());
        // dx is ±6 everywhere, twice 3 at the border; it cancels in the whole and not in its size.
        let whole = total(WINDOW);
        assert_eq!(whole[0] + whole[2], 0);
        assert_eq!(whole[1] + whole[3], 6 * 1600);
        let top = total(19);
        assert_eq!((top[0], top[1], top[4]), (6 * 760, 6 * 760, 0));
    }

    #[test]
    fn a_network_is_layers_of_sums() {
        let network = Network {
            patches: vec![Patch {
                x: 0,
                y: 0,
                width: 40,
                height: 40,
            }],
            threshold: 0.5,
            layers: vec![
                Layer {
                    weights: [vec![1.0; 32], vec![-1.0; 32]].concat(),
                    biases: vec![0.5, 0.5],
                },
                Layer {
                    weights: vec![0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 2.0, 2.0],
                    biases: vec![0.0; 4],
                },
            ],
        };
        // A flat window has no gradients: the first layer is its biases.
        let outputs = network.run(&mut Scratch::default());
        for (got, sum) in outputs.iter().zip([0.0f32, 0.5, 0.5, 2.0]) {
            assert!((got - 1.0 / (1.0 + (-sum).exp())).abs() < 1e-6);
        }
    }

    #[test]
    fn dot_counts_every_term() {
        let a: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), (0..37).map(|i| (i * i) as f32).sum::<f32>());
    }
}
