//! The crate's `unsafe` code: calls into `csrc/`, and the aligned memory that those kernels work on.
//!
//! The C++ side is pure arithmetic on memory that it is given: it throws nothing, allocates nothing and keeps
//! no state. The only danger is an offset outside its buffer, so every offset of a call is checked here first;
//! a table's largest entry is computed once, when the table is built. Where the processor or the build lacks a
//! kernel, [`Kernels::get`] returns `None`.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use super::{
    Isa, Precision,
    geometry::{CHANNELS1, Gemm, Im2col, OffsetTable, POOLED1, ROWS, STEP, TILE},
};
use fer_image::PIXELS;

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
    m_outer: u32,
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
struct FerIm2col {
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
    im2col: unsafe extern "C" fn(*const FerIm2col),
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

/// A layer's packed weights.
pub(super) struct PackedWeights {
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
pub(super) struct Conv1Weights {
    /// `[9][64]`: taps, output channels.
    pub(super) weight: Box<[[f32; CHANNELS1]; 9]>,
    /// `[64]`.
    pub(super) bias: [f32; CHANNELS1],
}

/// The kernels for one instruction set and precision.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    table: &'static FerKernels,
    pub(super) isa: Isa,
    pub(super) precision: Precision,
}

impl Kernels {
    /// `None` where this build has no kernels for the pair, or this processor cannot run them.
    pub(super) fn get(isa: Isa, precision: Precision) -> Option<Self> {
        // SAFETY: takes two numbers, any of which are fine, and returns null or a constant that lives as long
        // as the program.
        let found = unsafe { fer_kernels(isa as u32, precision as u32) };
        NonNull::new(found.cast_mut()).map(|k| Self {
            // SAFETY: not null here, aligned, immutable and `'static`; the layout is that of csrc/kernels.h.
            table: unsafe { k.as_ref() },
            isa,
            precision,
        })
    }

    /// One layer on `rows` rows: product, pooling, scale, bias, ReLU, and the elements `kind` into `out`.
    /// Fails if a table, the weights or an offset does not fit its buffer: a bug in the caller.
    pub(super) fn gemm(
        self,
        layout: &Gemm,
        rows: usize,
        input: &Bytes,
        weights: &PackedWeights,
        kind: Precision,
        out: &mut [u8],
    ) -> Result<(), &'static str> {
        // They would write other elements as floats, which are wider.
        if kind != Precision::F32 && kind != self.precision {
            return Err("output element");
        }
        let tiles = rows.div_ceil(ROWS);
        let channels = weights.n_tiles * ROWS;
        let out_rows = if layout.pool { rows / 4 } else { rows };
        if rows == 0 || (layout.pool && !rows.is_multiple_of(ROWS)) {
            return Err("rows");
        }
        if tiles > layout.tiles.len()
            || out_rows > layout.out.len()
            || weights.k_steps != layout.k_steps.len()
        {
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
        let read = layout.tiles.largest(tiles)
            + layout.k_steps.largest(weights.k_steps)
            + (ROWS - 1) * layout.row_stride
            + STEP;
        if read > input.as_slice().len() {
            return Err("input");
        }
        if layout.out.largest(out_rows) + channels * kind.bytes() > out.len() {
            return Err("output");
        }
        let args = FerGemm {
            a: input.as_slice().as_ptr(),
            tile_off: layout.tiles.table().as_ptr(),
            row_stride: layout.row_stride,
            k_off: layout.k_steps.table().as_ptr(),
            k_steps: weights.k_steps,
            b: weights.tiles.as_slice().as_ptr(),
            n_tiles: weights.n_tiles,
            scale: weights.scale.as_ptr(),
            bias: weights.bias.as_ptr(),
            rows,
            out: out.as_mut_ptr(),
            out_off: layout.out.table().as_ptr(),
            pool: layout.pool.into(),
            out_kind: kind as u32,
            m_outer: layout.m_outer.into(),
        };
        // SAFETY: all tables hold the entries that `rows` and `k_steps` reach; the furthest byte read of
        // `input` and of the weights and the furthest written to `out` were checked above, and `out` is
        // exclusive. Only int8 kernels read the scale. `self` exists, so the processor can run them.
        unsafe { (self.table.gemm)(&raw const args) };
        Ok(())
    }

    /// The first layer on one face; `out_offsets` has two entries for each of the 576 pooled pixels.
    pub(super) fn conv1(
        self,
        face: &[u8; PIXELS],
        affine: (f32, f32),
        weights: &Conv1Weights,
        out_offsets: &OffsetTable,
        out: &mut Bytes,
    ) -> Result<(), &'static str> {
        let kind = self.precision;
        if out_offsets.len() != 2 * POOLED1 {
            return Err("table length");
        }
        if out_offsets.largest(2 * POOLED1) + CHANNELS1 * kind.bytes() > out.as_slice().len() {
            return Err("output");
        }
        let args = FerConv1 {
            face: face.as_ptr(),
            factor: affine.0,
            offset: affine.1,
            weight: weights.weight.as_ptr().cast(),
            bias: weights.bias.as_ptr(),
            out: out.as_mut_slice().as_mut_ptr(),
            out_off: out_offsets.table().as_ptr(),
            out_kind: kind as u32,
        };
        // SAFETY: face, weights and bias have by their types the sizes that the kernel reads; the furthest byte
        // written was checked above.
        unsafe { (self.table.conv1)(&raw const args) };
        Ok(())
    }

    /// Copies a face's patches into tiles, ready for [`Kernels::gemm`].
    pub(super) fn im2col(self, patches: &Im2col, input: &Bytes, out: &mut [u8]) -> Result<(), &'static str> {
        let (rows, k_steps) = (patches.rows.len(), patches.k_steps.len());
        if !rows.is_multiple_of(ROWS) {
            return Err("rows");
        }
        if patches.rows.largest(rows) + patches.k_steps.largest(k_steps) + STEP > input.as_slice().len() {
            return Err("input");
        }
        if patches.bytes() > out.len() {
            return Err("output");
        }
        let args = FerIm2col {
            input: input.as_slice().as_ptr(),
            row_off: patches.rows.table().as_ptr(),
            tiles: rows / ROWS,
            k_off: patches.k_steps.table().as_ptr(),
            k_steps,
            out: out.as_mut_ptr(),
        };
        // SAFETY: the furthest byte read and the number of bytes written were checked above.
        unsafe { (self.table.im2col)(&raw const args) };
        Ok(())
    }
}

impl Isa {
    /// The best set that this processor, operating system and build have for a precision.
    #[must_use]
    pub fn best(precision: Precision) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|isa| Kernels::get(*isa, precision).is_some())
    }
}
