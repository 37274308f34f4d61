//! Where everything lies in memory: the offset tables of the layers that are matrix products.
//!
//! A product multiplies rows of activations (M) with output channels (N) along the inputs (K). The kernels take M in
//! tiles of 16 rows at one stride, and K in steps of 64 bytes; offset tables say where each tile and step begins.
//!
//! Activations are stored pixel by pixel, channels innermost. The rows of a tile come in groups of four that form a
//! pooling window, so that a layer's pooling is the maximum of four neighbouring rows.
//!
//! - The second layer reads its input in place (an implicit im2col). Two image rows are interleaved (pixel (0,0),
//!   (1,0), (0,1), (1,1), …), so that eight columns of two rows are 16 pixels in a line; as the 5×5 kernel moves down
//!   one row, the pairs shift, so there are two copies: rows (0,1), (2,3), … and rows (1,2), (3,4), ….
//! - The third and fourth layers read im2col patches, copied into tiles of 1 KiB, 16 pixels or four pooling
//!   windows each: in place, a tile's rows would lie pages apart.

use crate::network::LAYERS;

/// Bytes of a weight tile.
pub(super) const TILE: usize = 1024;
/// Rows of a tile, and output channels of a weight tile.
pub(super) const ROWS: usize = 16;
/// Bytes of K in a step, and of every row of a tile.
pub(super) const STEP: usize = 64;
/// Pixels after the first layer's pooling.
pub(super) const POOLED1: usize = 24 * 24;
/// Channels after the first layer.
pub(super) const CHANNELS1: usize = LAYERS[0].outputs;

/// Padded width and height of the second layer's input: 24 and a border of 2.
const WIDE2: usize = 28;
/// Channels after the second layer.
pub(super) const CHANNELS2: usize = LAYERS[1].outputs;
/// Channels after the third and the fourth.
pub(super) const CHANNELS3: usize = LAYERS[2].outputs;
/// Padded width and height of the third layer's input: 12 and a border of 1.
const WIDE3: usize = 14;
/// Width and height of the fourth layer's input.
const WIDE4: usize = 6;
/// Features that reach the dense layers.
pub(super) const FEATURES: usize = 4 * CHANNELS3;
/// Outputs of the two hidden dense layers.
pub(super) const HIDDEN: [usize; 2] = [LAYERS[4].outputs, LAYERS[5].outputs];
/// Rows of activations of one face in each convolution.
pub(super) const ROWS2: usize = 24 * 24;
pub(super) const ROWS3: usize = 12 * 12;
pub(super) const ROWS4: usize = 4 * 4;

/// Byte offsets. The largest of the first entries is known, so that a call can check its buffer without reading the table.
pub(super) struct OffsetTable {
    table: Vec<u32>,
    /// Largest entry among the first `i + 1`.
    largest: Vec<u32>,
}

impl OffsetTable {
    /// Offsets here are below 2³²: the largest buffer is a few MB.
    fn new(offsets: impl IntoIterator<Item = usize>) -> Self {
        let table: Vec<u32> = offsets.into_iter().map(|x| x as u32).collect();
        let largest = table
            .iter()
            .scan(0, |max, x| {
                *max = u32::max(*max, *x);
                Some(*max)
            })
            .collect();
        Self { table, largest }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn table(&self) -> &[u32] {
        &self.table
    }

    /// The largest of the first `n` entries; 0 if `n` is 0.
    pub(super) fn largest(&self, n: usize) -> usize {
        n.checked_sub(1)
            .and_then(|i| self.largest.get(i))
            .map_or(0, |x| *x as usize)
    }
}

/// The addressing of a matrix product: a layer's rows of activations, and its output.
pub(super) struct Gemm {
    /// Of each tile of 16 rows, from the start of the input.
    pub(super) tiles: OffsetTable,
    /// Bytes between the rows of a tile.
    pub(super) row_stride: usize,
    /// Of each step of K, from a row.
    pub(super) k_steps: OffsetTable,
    /// Of each row of output, from the start of the output.
    pub(super) out: OffsetTable,
    /// Whether four rows are pooled into one.
    pub(super) pool: bool,
    /// The loop order: with M outside, a tile of activations stays in the cache and the weights are streamed; with N
    /// outside, the other way round.
    pub(super) m_outer: bool,
}

/// The patches of a 3×3 convolution in its input.
pub(super) struct Im2col {
    /// Of each output pixel's upper left corner, 16 a tile.
    pub(super) rows: OffsetTable,
    /// Of each 64-byte step of K, from that corner.
    pub(super) k_steps: OffsetTable,
}

impl Im2col {
    /// Bytes of all tiles of one face.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * self.k_steps.len() * STEP
    }
}

/// Sizes and tables for elements of a size and at most a number of faces.
pub(super) struct Geometry {
    /// Bytes of the second layer's input for one face: both copies.
    pub(super) input2: usize,
    /// Of the third layer's, border included.
    pub(super) input3: usize,
    /// Of the fourth layer's.
    pub(super) input4: usize,
    /// Output offsets of the first layer: two for each pooled pixel.
    pub(super) conv1: OffsetTable,
    pub(super) conv2: Gemm,
    pub(super) patches3: Im2col,
    pub(super) conv3: Gemm,
    pub(super) patches4: Im2col,
    pub(super) conv4: Gemm,
    pub(super) dense1: Gemm,
    pub(super) dense2: Gemm,
}

/// The pixels (y, x) of a `side`×`side` image, pooling window by pooling window.
fn windows(side: usize) -> impl Iterator<Item = (usize, usize)> {
    let half = side / 2;
    (0..half * half).flat_map(move |w| (0..4).map(move |i| (w / half * 2 + i / 2, w % half * 2 + i % 2)))
}

impl Geometry {
    /// Tables for elements of that many bytes and at most that many faces at a time.
    pub(super) fn new(element: usize, faces: usize) -> Self {
        let pixel1 = CHANNELS1 * element;
        // The second copy of the second layer's input follows the first. Its pairs of rows begin one row lower, so
        // row `y` of the image has in it the place of row `y - 1`.
        let copy = WIDE2 * WIDE2 * pixel1;
        let interleaved = |y: usize, x: usize| (y / 2 * WIDE2 + x) * 2 * pixel1 + y % 2 * pixel1;
        // The first layer writes each pooled pixel into both copies, inside the border of 2.
        let conv1 = (0..POOLED1).flat_map(|p| {
            let (y, x) = (p / 24 + 2, p % 24 + 2);
            [interleaved(y, x), copy + interleaved(y - 1, x)]
        });
        let pixel2 = CHANNELS2 * element;
        let conv2 = Gemm {
            tiles: OffsetTable::new((0..12 * 3).map(|t| interleaved(t / 3 * 2, t % 3 * 8))),
            row_stride: pixel1,
            // A tile begins at an even row. Taps of even rows of the kernel find their pairs of rows in the first copy,
            // those of odd rows in the second.
            k_steps: OffsetTable::new((0..25).flat_map(|tap| {
                let (y, x) = (tap / 5, tap % 5);
                let start = if y % 2 == 0 {
                    interleaved(y, x)
                } else {
                    copy + interleaved(y - 1, x)
                };
                (0..pixel1 / STEP).map(move |k| start + k * STEP)
            })),
            // A tile is two rows × eight columns: four pooling windows side by side, written inside the border of 1.
            out: OffsetTable::new((0..POOLED1 / 4).map(|p| ((p / 12 + 1) * WIDE3 + p % 12 + 1) * pixel2)),
            pool: true,
            m_outer: true,
        };
        // Patches are copied tile by tile: [tiles][k_steps][16 rows][64 bytes].
        let copied = |k_steps: usize, tiles: usize, out: OffsetTable| Gemm {
            tiles: OffsetTable::new((0..tiles).map(|t| t * k_steps * TILE)),
            row_stride: STEP,
            k_steps: OffsetTable::new((0..k_steps).map(|k| k * TILE)),
            out,
            pool: true,
            m_outer: false,
        };
        // A row is a face.
        let dense = |inputs: usize, out: OffsetTable| {
            let row = inputs * element;
            Gemm {
                tiles: OffsetTable::new((0..faces.div_ceil(ROWS)).map(|t| t * ROWS * row)),
                row_stride: row,
                k_steps: OffsetTable::new((0..row / STEP).map(|k| k * STEP)),
                out,
                pool: false,
                m_outer: false,
            }
        };
        let pixel3 = CHANNELS3 * element;
        let steps = |channels: usize| 9 * channels * element / STEP;
        Self {
            input2: 2 * copy,
            input3: WIDE3 * WIDE3 * pixel2,
            input4: WIDE4 * WIDE4 * pixel3,
            conv1: OffsetTable::new(conv1),
            conv2,
            patches3: im2col(WIDE3, pixel2),
            conv3: copied(
                steps(CHANNELS2),
                ROWS3 / ROWS,
                OffsetTable::new((0..ROWS3 / 4).map(|p| p * pixel3)),
            ),
            patches4: im2col(WIDE4, pixel3),
            conv4: copied(
                steps(CHANNELS3),
                faces,
                OffsetTable::new((0..faces * 4).map(|p| p * pixel3)),
            ),
            dense1: dense(
                FEATURES,
                OffsetTable::new((0..faces).map(|i| i * HIDDEN[0] * element)),
            ),
            // In float, whatever the layers before are in: the output layer is.
            dense2: dense(HIDDEN[0], OffsetTable::new((0..faces).map(|i| i * HIDDEN[1] * 4))),
        }
    }
}

/// The patches of a 3×3 convolution over `side`×`side` pixels of `pixel` bytes, in the order of pooling windows.
fn im2col(side: usize, pixel: usize) -> Im2col {
    Im2col {
        rows: OffsetTable::new(windows(side - 2).map(|(y, x)| (y * side + x) * pixel)),
        k_steps: OffsetTable::new((0..9).flat_map(|tap| {
            let corner = (tap / 3 * side + tap % 3) * pixel;
            (0..pixel / STEP).map(move |k| corner + k * STEP)
        })),
    }
}
