//! The engine's `unsafe` code (beside it the crate has only that of `train/block1.rs`): calls into `csrc/`, and the aligned memory those loops work on.
//!
//! The C++ side is pure arithmetic on memory that it is handed: it throws nothing, allocates nothing and keeps
//! no state. All that could go wrong is an offset outside its buffer, so every offset of a call is checked
//! here first; a table's largest entry is found once, when the table is built. What the processor or the
//! build does not have is an absent [`Kernels`], not a crash.
#![allow(unsafe_code)]

use std::{fmt, ptr::NonNull};

use super::{Isa, Precision, offsets::Offsets};
use fer_image::PIXELS;

/// Bytes of a weight tile.
pub(super) const TILE: usize = 1024;
/// Rows of a tile, and output channels of a weight tile.
pub(super) const ROWS: usize = 16;
/// Bytes of K a step takes, and of every row of a tile.
pub(super) const STEP: usize = 64;
/// Pixels after the first layer's pooling.
pub(super) const POOLED1: usize = 24 * 24;
/// Channels after the first layer.
pub(super) const CHANNELS1: usize = 64;

#[repr(C)]
struct FerGemm {
    a: *const u8,
    tile_off: *const u32,
    row_stride: usize,
    k_off: *const u32,
    k_steps: usize,
    b: *const u8,
    n_tiles: usize,
    scale: *const f32,
    bias: *const f32,
    rows: usize,
    out: *mut u8,
    out_off: *const u32,
    pool: u32,
    out_kind: u32,
    rows_outer: u32,
}

#[repr(C)]
struct FerConv1 {
    face: *const u8,
    factor: f32,
    offset: f32,
    weight: *const f32,
    bias: *const f32,
    out: *mut u8,
    out_off: *const u32,
    out_kind: u32,
}

#[repr(C)]
struct FerGather {
    input: *const u8,
    row_off: *const u32,
    tiles: usize,
    k_off: *const u32,
    k_steps: usize,
    out: *mut u8,
}

#[repr(C)]
struct FerKernels {
    gemm: unsafe extern "C" fn(*const FerGemm),
    conv1: unsafe extern "C" fn(*const FerConv1),
    gather: unsafe extern "C" fn(*const FerGather),
}

unsafe extern "C" {
    fn fer_kernels(isa: u32, element: u32) -> *const FerKernels;
}

/// Zeroed memory that starts on a cache line, so that no row of a tile straddles two.
pub(super) struct Bytes(Vec<Line>);

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; STEP]);

impl Bytes {
    /// At least `len` zeros.
    pub(super) fn zeroed(len: usize) -> Self {
        Self(vec![Line([0; STEP]); len.div_ceil(STEP)])
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        // SAFETY: `Line` is 64 bytes without padding, so the vector's memory is that many initialised bytes;
        // the borrow of `self` keeps it alive and unchanged.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * STEP) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above; the borrow is exclusive, and every bit pattern is a valid `Line`.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * STEP) }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len() * STEP)
    }
}

/// A layer's packed weights.
#[derive(Debug)]
pub(super) struct Weights {
    /// `[n_tiles][k_steps][TILE]`.
    pub(super) tiles: Bytes,
    /// Of 64 bytes.
    pub(super) k_steps: usize,
    /// Of 16 output channels; a multiple of 4.
    pub(super) n_tiles: usize,
    /// `[16 · n_tiles]`: what an integer sum is multiplied with; int8 only, else empty.
    pub(super) scale: Vec<f32>,
    /// `[16 · n_tiles]`.
    pub(super) bias: Vec<f32>,
}

/// The first layer's weights, in float.
#[derive(Debug)]
pub(super) struct First {
    /// `[9][64]`: taps, output channels.
    pub(super) weight: Box<[[f32; CHANNELS1]; 9]>,
    /// `[64]`.
    pub(super) bias: [f32; CHANNELS1],
}

/// Where a layer's rows of activations lie and where its output goes.
#[derive(Debug)]
pub(super) struct Route {
    /// Of each tile of 16 rows, from the start of the input.
    pub(super) tiles: Offsets,
    /// Bytes between the rows of a tile.
    pub(super) row_stride: usize,
    /// Of each step of K, from a row.
    pub(super) steps: Offsets,
    /// Of each row of output, from the start of the output.
    pub(super) out: Offsets,
    /// Whether four rows are pooled into one.
    pub(super) pool: bool,
    /// Whether weights rather than activations are streamed in the inner loop.
    pub(super) rows_outer: bool,
}

/// Where the patches of a 3×3 convolution lie in its input.
#[derive(Debug)]
pub(super) struct Patches {
    /// Of each output pixel's upper left corner, 16 a tile.
    pub(super) rows: Offsets,
    /// Of each 64-byte step of K, from that corner.
    pub(super) steps: Offsets,
}

impl Patches {
    /// Bytes of all tiles of one face.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * self.steps.len() * STEP
    }
}

/// The loops for one instruction set and precision.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    table: &'static FerKernels,
    precision: Precision,
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernels({:?})", self.precision)
    }
}

impl Kernels {
    /// `None` where this build has none for the pair, or this processor cannot run them.
    pub(super) fn get(isa: Isa, precision: Precision) -> Option<Self> {
        // SAFETY: takes two numbers, any of which are fine, and returns null or a constant that lives as long
        // as the program.
        let found = unsafe { fer_kernels(isa as u32, precision as u32) };
        NonNull::new(found.cast_mut()).map(|k| Self {
            // SAFETY: not null here, aligned, immutable and `'static`; the layout is that of csrc/kernels.h.
            table: unsafe { k.as_ref() },
            precision,
        })
    }

    /// Whether these loops can end in such elements; others would be written as floats, and too wide.
    fn writes(self, kind: Precision) -> bool {
        kind == Precision::F32 || kind == self.precision
    }

    /// One layer on `rows` rows: product, pooling, scale, bias, ReLU, and the elements `kind` into `out`.
    ///
    /// # Errors
    /// A sentence if a table, the weights or an offset does not fit its buffer: a bug of the caller's.
    pub(super) fn gemm(
        self,
        route: &Route,
        rows: usize,
        input: &Bytes,
        weights: &Weights,
        kind: Precision,
        out: &mut [u8],
    ) -> Result<(), &'static str> {
        if !self.writes(kind) {
            return Err("output element");
        }
        let tiles = rows.div_ceil(ROWS);
        let channels = weights.n_tiles * ROWS;
        let out_rows = if route.pool { rows / 4 } else { rows };
        if rows == 0 || (route.pool && !rows.is_multiple_of(ROWS)) {
            return Err("rows");
        }
        if tiles > route.tiles.len() || out_rows > route.out.len() || weights.k_steps != route.steps.len() {
            return Err("table length");
        }
        if !weights.n_tiles.is_multiple_of(4)
            || weights.tiles.as_slice().len() < weights.n_tiles * weights.k_steps * TILE
            || weights.bias.len() != channels
            || (self.precision == Precision::Int8 && weights.scale.len() != channels)
        {
            return Err("weights");
        }
        // The last row of the last tile is read even where the tile is cut short.
        let read = route.tiles.largest(tiles)
            + route.steps.largest(weights.k_steps)
            + (ROWS - 1) * route.row_stride
            + STEP;
        if read > input.as_slice().len() {
            return Err("input");
        }
        if route.out.largest(out_rows) + channels * kind.bytes() > out.len() {
            return Err("output");
        }
        let args = FerGemm {
            a: input.as_slice().as_ptr(),
            tile_off: route.tiles.table().as_ptr(),
            row_stride: route.row_stride,
            k_off: route.steps.table().as_ptr(),
            k_steps: weights.k_steps,
            b: weights.tiles.as_slice().as_ptr(),
            n_tiles: weights.n_tiles,
            scale: weights.scale.as_ptr(),
            bias: weights.bias.as_ptr(),
            rows,
            out: out.as_mut_ptr(),
            out_off: route.out.table().as_ptr(),
            pool: route.pool.into(),
            out_kind: kind as u32,
            rows_outer: route.rows_outer.into(),
        };
        // SAFETY: all tables hold the entries that `rows` and `k_steps` reach; the furthest byte read of
        // `input` and of the weights and the furthest written to `out` were checked above, and `out` is
        // exclusive. The scale is read by int8 loops only. `self` exists, so the processor can run them.
        unsafe { (self.table.gemm)(&raw const args) };
        Ok(())
    }

    /// The first layer on one face; `places` holds two offsets for each of the 576 pooled pixels.
    ///
    /// # Errors
    /// As [`Kernels::gemm`].
    pub(super) fn conv1(
        self,
        face: &[u8; PIXELS],
        affine: (f32, f32),
        first: &First,
        kind: Precision,
        places: &Offsets,
        out: &mut Bytes,
    ) -> Result<(), &'static str> {
        if !self.writes(kind) {
            return Err("output element");
        }
        if places.len() != 2 * POOLED1 {
            return Err("table length");
        }
        if places.largest(2 * POOLED1) + CHANNELS1 * kind.bytes() > out.as_slice().len() {
            return Err("output");
        }
        let args = FerConv1 {
            face: face.as_ptr(),
            factor: affine.0,
            offset: affine.1,
            weight: first.weight.as_ptr().cast(),
            bias: first.bias.as_ptr(),
            out: out.as_mut_slice().as_mut_ptr(),
            out_off: places.table().as_ptr(),
            out_kind: kind as u32,
        };
        // SAFETY: face, weights and bias have the sizes the loops read by their types; the furthest byte
        // written was checked above.
        unsafe { (self.table.conv1)(&raw const args) };
        Ok(())
    }

    /// Copies a face's patches into tiles, ready for [`Kernels::gemm`].
    ///
    /// # Errors
    /// As [`Kernels::gemm`].
    pub(super) fn gather(self, patches: &Patches, input: &Bytes, out: &mut [u8]) -> Result<(), &'static str> {
        let (rows, k_steps) = (patches.rows.len(), patches.steps.len());
        if !rows.is_multiple_of(ROWS) {
            return Err("rows");
        }
        if patches.rows.largest(rows) + patches.steps.largest(k_steps) + STEP > input.as_slice().len() {
            return Err("input");
        }
        if patches.bytes() > out.len() {
            return Err("output");
        }
        let args = FerGather {
            input: input.as_slice().as_ptr(),
            row_off: patches.rows.table().as_ptr(),
            tiles: rows / ROWS,
            k_off: patches.steps.table().as_ptr(),
            k_steps,
            out: out.as_mut_ptr(),
        };
        // SAFETY: the furthest byte read and the number of bytes written were checked above.
        unsafe { (self.table.gather)(&raw const args) };
        Ok(())
    }
}
