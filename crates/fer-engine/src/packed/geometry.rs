//! Where everything lies in memory: the offset tables of the four layers that are matrix products.
//!
//! Activations are stored pixel by pixel, channels innermost. A tile takes 16 rows at one stride, and its rows
//! come in groups of four that form a pooling window, so that a layer's pooling is the maximum of four
//! neighbouring rows.
//!
//! - The second layer reads its input in place. Two image rows are interleaved (pixel (0,0), (1,0), (0,1),
//!   (1,1), …), so that eight columns of two rows are 16 pixels in a line; as the 5×5 kernel moves down one
//!   row, the pairs shift, so there are two copies: rows (0,1), (2,3), … and rows (1,2), (3,4), ….
//! - The third and fourth layers read patches (im2col) gathered into tiles of 1 KiB, 16 pixels or four pooling
//!   windows each: in place, a tile's rows would lie pages apart.

use super::{
    kernels::{CHANNELS1, POOLED1, Patches, ROWS, Route, STEP, TILE},
    offsets::Offsets,
};

/// Padded width and height of the second layer's input: 24 and a border of 2.
const WIDE2: usize = 28;
/// Channels after the second layer.
pub(super) const CHANNELS2: usize = 128;
/// Channels after the third and the fourth.
pub(super) const CHANNELS3: usize = 512;
/// Padded width and height of the third layer's input: 12 and a border of 1.
const WIDE3: usize = 14;
/// Width and height of the fourth layer's input.
const WIDE4: usize = 6;
/// Features that reach the dense layers.
pub(super) const FEATURES: usize = 4 * CHANNELS3;
/// Outputs of the two hidden dense layers.
pub(super) const HIDDEN: [usize; 2] = [256, 512];
/// Rows of activations of one face in each convolution.
pub(super) const ROWS2: usize = 24 * 24;
pub(super) const ROWS3: usize = 12 * 12;
pub(super) const ROWS4: usize = 4 * 4;

/// Sizes and tables for elements of a size and at most a number of faces.
#[derive(Debug)]
pub(super) struct Geometry {
    element: usize,
    /// Two offsets for each pooled pixel of the first layer.
    pub(super) conv1: Offsets,
    pub(super) conv2: Route,
    pub(super) patches3: Patches,
    pub(super) conv3: Route,
    pub(super) patches4: Patches,
    pub(super) conv4: Route,
    pub(super) dense1: Route,
    pub(super) dense2: Route,
}

/// Offsets here are below 2³²: the largest buffer is a few MB.
#[allow(clippy::cast_possible_truncation)]
fn offsets(values: impl IntoIterator<Item = usize>) -> Offsets {
    Offsets::new(values.into_iter().map(|x| x as u32).collect())
}

/// Pixels of four pooling windows that follow each other in a `side`×`side` picture, for all of it.
fn windows(side: usize) -> impl Iterator<Item = (usize, usize)> {
    let half = side / 2;
    (0..half * half).flat_map(move |w| (0..4).map(move |i| (w / half * 2 + i / 2, w % half * 2 + i % 2)))
}

impl Geometry {
    /// Tables for elements of that many bytes and at most that many faces at a time.
    pub(super) fn new(element: usize, faces: usize) -> Self {
        let pixel1 = CHANNELS1 * element;
        let copy = Self::copy2(element);
        let interleaved = |y: usize, x: usize| (y / 2 * WIDE2 + x) * 2 * pixel1 + y % 2 * pixel1;
        let conv1 = (0..POOLED1).flat_map(|p| {
            let (y, x) = (p / 24 + 2, p % 24 + 2);
            [interleaved(y, x), copy + interleaved(y - 1, x)]
        });
        let pixel2 = CHANNELS2 * element;
        let conv2 = Route {
            tiles: offsets((0..12 * 3).map(|t| interleaved(t / 3 * 2, t % 3 * 8))),
            row_stride: pixel1,
            steps: offsets((0..25).flat_map(|tap| {
                let (y, x) = (tap / 5, tap % 5);
                let start = if y % 2 == 0 {
                    interleaved(y, x)
                } else {
                    copy + interleaved(y - 1, x)
                };
                (0..pixel1 / STEP).map(move |k| start + k * STEP)
            })),
            // A tile is two rows × eight columns: four windows beside each other.
            out: offsets((0..POOLED1 / 4).map(|p| ((p / 12 + 1) * WIDE3 + p % 12 + 1) * pixel2)),
            pool: true,
            rows_outer: true,
        };
        let gathered = |k_steps: usize, tiles: usize, out: Offsets| Route {
            tiles: offsets((0..tiles).map(|t| t * k_steps * TILE)),
            row_stride: STEP,
            steps: offsets((0..k_steps).map(|k| k * TILE)),
            out,
            pool: true,
            rows_outer: false,
        };
        let dense = |inputs: usize, out: Offsets| {
            let row = inputs * element;
            Route {
                tiles: offsets((0..faces.div_ceil(ROWS)).map(|t| t * ROWS * row)),
                row_stride: row,
                steps: offsets((0..row / STEP).map(|k| k * STEP)),
                out,
                pool: false,
                rows_outer: false,
            }
        };
        let pixel3 = CHANNELS3 * element;
        let steps = |channels: usize| 9 * channels * element / STEP;
        Self {
            element,
            conv1: offsets(conv1),
            conv2,
            patches3: patches(WIDE3, pixel2),
            conv3: gathered(
                steps(CHANNELS2),
                ROWS3 / ROWS,
                offsets((0..ROWS3 / 4).map(|p| p * pixel3)),
            ),
            patches4: patches(WIDE4, pixel3),
            conv4: gathered(
                steps(CHANNELS3),
                faces,
                offsets((0..faces * 4).map(|p| p * pixel3)),
            ),
            dense1: dense(FEATURES, offsets((0..faces).map(|i| i * HIDDEN[0] * element))),
            // In float, whatever the layers before are in: the output layer is.
            dense2: dense(HIDDEN[0], offsets((0..faces).map(|i| i * HIDDEN[1] * 4))),
        }
    }

    fn copy2(element: usize) -> usize {
        WIDE2 * WIDE2 * CHANNELS1 * element
    }

    /// Bytes of the second layer's input for one face: both copies.
    pub(super) fn input2(&self) -> usize {
        2 * Self::copy2(self.element)
    }

    /// Bytes of the third layer's input for one face, border included.
    pub(super) fn input3(&self) -> usize {
        WIDE3 * WIDE3 * CHANNELS2 * self.element
    }

    /// Bytes of the fourth layer's input for one face.
    pub(super) fn input4(&self) -> usize {
        WIDE4 * WIDE4 * CHANNELS3 * self.element
    }
}

/// Patches of a 3×3 convolution over `side`×`side` pixels of `pixel` bytes, in the order of pooling windows.
fn patches(side: usize, pixel: usize) -> Patches {
    Patches {
        rows: offsets(windows(side - 2).map(|(y, x)| (y * side + x) * pixel)),
        steps: offsets((0..9).flat_map(|tap| {
            let corner = (tap / 3 * side + tap % 3) * pixel;
            (0..pixel / STEP).map(move |k| corner + k * STEP)
        })),
    }
}
