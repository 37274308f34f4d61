// The packed engine's kernels as Rust declares them (../kernels.rs mirrors every struct).
//
// No function here throws, allocates or keeps state; all memory belongs to the caller, which has checked every
// offset. Weights are laid out in tiles of 1 KiB: 16 rows of 64 bytes, row q holding for each of 16 output
// channels the four bytes of K (1 float, 2 bf16 or 4 int8) that follow each other at 4q.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum FerElement : uint32_t { FER_F32 = 0, FER_BF16 = 1, FER_INT8 = 2 };

// A matrix product with the layer's end in one pass: rows of activations × weight tiles, then 2×2 max
// pooling if asked for, scale (int8), bias, ReLU, and the next layer's element type.
struct FerGemm {
  const uint8_t *a;          // activations
  const uint32_t *tile_off;  // byte offset in `a` of each tile of 16 rows
  size_t row_stride;         // bytes from a tile's row to its next
  const uint32_t *k_off;     // byte offset, from a row, of each 64-byte step of K
  size_t k_steps;
  const uint8_t *b;          // weights: [n_tiles][k_steps][1024]
  size_t n_tiles;            // of 16 output channels; a multiple of 4
  const float *scale;        // [16 · n_tiles]; read for int8 only
  const float *bias;         // [16 · n_tiles]
  size_t rows;               // rows of activations; the last tile may be cut short
  uint8_t *out;
  const uint32_t *out_off;   // byte offset in `out` of each output row
  uint32_t pool;             // 1: output row j is the maximum of rows 4j … 4j+3
  uint32_t out_kind;         // FerElement of `out` (FER_INT8: unsigned, 0–255)
  uint32_t m_outer;          // loop order. 1: keep activations and stream the weights; 0: the other way round
};

// The first layer: 48×48 gray bytes → scaled → 3×3 convolution, zero padded, 64 channels → 2×2 max pooling
// → bias, ReLU → 576 pixels, each written to two places.
struct FerConv1 {
  const uint8_t *face;       // [48·48]
  float factor, offset;      // a gray value p goes in as p · factor + offset
  const float *weight;       // [9][64]
  const float *bias;         // [64]
  uint8_t *out;
  const uint32_t *out_off;   // [576][2]
  uint32_t out_kind;
};

// im2col: copies patches into tiles: row r of tile t, step k comes from in + row_off[16 t + r] + k_off[k], 64 bytes.
struct FerIm2col {
  const uint8_t *in;
  const uint32_t *row_off;   // [16 · tiles]
  size_t tiles;
  const uint32_t *k_off;     // [k_steps]
  size_t k_steps;
  uint8_t *out;              // [tiles][k_steps][16][64]
};

// The kernels for one instruction set and element type.
struct FerKernels {
  void (*gemm)(const FerGemm *);
  void (*conv1)(const FerConv1 *);
  void (*im2col)(const FerIm2col *);
};

// Instruction sets; the values are those of Rust.
enum FerIsa : uint32_t { FER_PORTABLE = 0, FER_AVX2 = 1, FER_AVX512 = 2, FER_AMX = 3 };

extern "C" {
// The kernels, or null where this build has none for the pair or the processor cannot run them.
const FerKernels *fer_kernels(uint32_t isa, uint32_t element);
}
