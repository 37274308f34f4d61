// The kernels for one instruction set. build.rs compiles this file once for each, with that set's flags and
// FER_NAME. Nothing of the standard library is used and all is in an unnamed namespace: otherwise the linker
// could take an inline function that several object files share from one that an older processor cannot run.
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

// A register's worth of sums. A tile's row of 16 channels is PARTS of them.
#if defined(__AVX512F__)
constexpr size_t LANES = 16;
#elif defined(__AVX2__)
constexpr size_t LANES = 8;
#else
constexpr size_t LANES = 4;
#endif
constexpr size_t PARTS = 16 / LANES;
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef float vfu __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));

template <size_t... I> struct Lanes {};
template <size_t N, size_t... I> struct Count : Count<N - 1, N - 1, I...> {};
template <size_t... I> struct Count<0, I...> { typedef Lanes<I...> type; };
template <size_t... I> inline vf splat(float x, Lanes<I...>) { return vf{(static_cast<void>(I), x)...}; }
inline vf splat(float x) { return splat(x, Count<LANES>::type()); }
inline vf load(const float *p) { return *reinterpret_cast<const vfu *>(p); }
inline vf larger(vf a, vf b) { return a > b ? a : b; }
inline vi larger(vi a, vi b) { return a > b ? a : b; }

inline size_t element_size(uint32_t kind) { return kind == FER_F32 ? 4 : kind == FER_BF16 ? 2 : 1; }

// Finished values, already scaled and biased → ReLU → memory.
inline void store(uint8_t *out, vf v, uint32_t kind) {
  v = larger(v, vf{});
#if defined(__AVX512VNNI__)
  if (kind == FER_INT8) {
    // Round to nearest even; above 255 saturates.
    const __m512i q = _mm512_cvtps_epi32((__m512)v);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(out), _mm512_cvtusepi32_epi8(q));
    return;
  }
#endif
#if defined(__AVX512BF16__)
  if (kind == FER_BF16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(out), (__m256i)_mm512_cvtneps_pbh((__m512)v));
    return;
  }
#endif
  (void)kind;
  *reinterpret_cast<vfu *>(out) = v;
}

// ---- the end of a layer -------------------------------------------------------------------------------

inline vf finish(vf acc, const FerGemm &g, size_t channel) { return acc + load(g.bias + channel); }
inline vf finish(vi acc, const FerGemm &g, size_t channel) {
  return __builtin_convertvector(acc, vf) * load(g.scale + channel) + load(g.bias + channel);
}

// One tile of sums, `rows` × 16 channels, to its places. V is vf or vi.
template <class V> inline void finish_tile(const FerGemm &g, size_t m, size_t n, const V (*c)[PARTS], size_t rows) {
  const size_t size = element_size(g.out_kind);
  for (size_t p = 0; p < PARTS; ++p) {
    const size_t channel = n * 16 + p * LANES;
    uint8_t *out = g.out + channel * size;
    if (g.pool) {
      for (size_t j = 0; j < rows / 4; ++j) {
        const V v = larger(larger(c[4 * j][p], c[4 * j + 1][p]), larger(c[4 * j + 2][p], c[4 * j + 3][p]));
        store(out + g.out_off[m * 4 + j], finish(v, g, channel), g.out_kind);
      }
    } else {
      for (size_t r = 0; r < rows; ++r)
        store(out + g.out_off[m * 16 + r], finish(c[r][p], g, channel), g.out_kind);
    }
  }
}

inline size_t rows_in(const FerGemm &g, size_t m) {
  const size_t left = g.rows - m * 16;
  return left < 16 ? left : 16;
}

// ---- the matrix product -------------------------------------------------------------------------------

#if defined(FER_TABLE_TILES)
#include "tiles.h"
#else
#include "vectors.h"
#endif

// ---- im2col -------------------------------------------------------------------------------------------

void im2col(const FerIm2col *args) {
  const FerIm2col &g = *args;
  uint8_t *out = g.out;
  for (size_t t = 0; t < g.tiles; ++t)
    for (size_t k = 0; k < g.k_steps; ++k)
      for (size_t r = 0; r < 16; ++r, out += 64)
        __builtin_memcpy(out, g.in + g.row_off[16 * t + r] + g.k_off[k], 64);
}

// ---- the first layer ----------------------------------------------------------------------------------

void conv1(const FerConv1 *args) {
  const FerConv1 &c = *args;
  constexpr size_t SIDE = 48, PADDED = SIDE + 2;
  alignas(64) float image[PADDED * PADDED];
  for (size_t x = 0; x < PADDED; ++x) image[x] = image[(PADDED - 1) * PADDED + x] = 0;
  for (size_t y = 0; y < SIDE; ++y) {
    float *line = image + (y + 1) * PADDED;
    line[0] = line[PADDED - 1] = 0;
    for (size_t x = 0; x < SIDE; ++x)
      line[x + 1] = static_cast<float>(c.face[y * SIDE + x]) * c.factor + c.offset;
  }
  // GROUP registers of channels at a time: with 32 registers (AVX-512) their 9 × GROUP weights stay there, along
  // with the sums of the four pixels of a pooling window. Each of the window's 16 input pixels is broadcast once
  // and added to every sum that it contributes to; maximum before bias and ReLU gives the same as after.
  constexpr size_t GROUP = LANES == 16 ? 2 : 1;
  const size_t size = element_size(c.out_kind);
  for (size_t channel = 0; channel < 64; channel += GROUP * LANES) {
    vf w[9][GROUP];
    for (size_t t = 0; t < 9; ++t)
      for (size_t i = 0; i < GROUP; ++i) w[t][i] = load(c.weight + t * 64 + channel + i * LANES);
    for (size_t p = 0; p < 576; ++p) {
      const float *corner = image + (p / 24) * 2 * PADDED + (p % 24) * 2;
      vf sum[4][GROUP] = {};
#pragma GCC unroll 4
      for (size_t y = 0; y < 4; ++y)
#pragma GCC unroll 4
        for (size_t x = 0; x < 4; ++x) {
          const vf value = splat(corner[y * PADDED + x]);
          // The pixel (y, x) of the window's 4×4 neighbourhood is tap (y−i, x−j) of output (i, j). Unrolled, the
          // conditions are constants and vanish.
#pragma GCC unroll 4
          for (size_t o = 0; o < 4; ++o) {
            const size_t i = o / 2, j = o % 2;
            if (y >= i && y - i < 3 && x >= j && x - j < 3)
#pragma GCC unroll 2
              for (size_t s = 0; s < GROUP; ++s) sum[o][s] += value * w[(y - i) * 3 + x - j][s];
          }
        }
#pragma GCC unroll 2
      for (size_t s = 0; s < GROUP; ++s) {
        const size_t at = channel + s * LANES;
        const vf v = larger(larger(sum[0][s], sum[1][s]), larger(sum[2][s], sum[3][s])) + load(c.bias + at);
        store(c.out + c.out_off[2 * p] + at * size, v, c.out_kind);
        store(c.out + c.out_off[2 * p + 1] + at * size, v, c.out_kind);
      }
    }
  }
}

}  // namespace

#define FER_JOIN2(a, b) a##b
#define FER_JOIN(a, b) FER_JOIN2(a, b)

// Tables named fer_<set>_<element>; dispatch.cpp lists them.
#if defined(FER_TABLE_TILES)
extern const FerKernels FER_JOIN(FER_NAME, _bf16);
extern const FerKernels FER_JOIN(FER_NAME, _int8);
const FerKernels FER_JOIN(FER_NAME, _bf16) = {gemm<true>, conv1, im2col};
const FerKernels FER_JOIN(FER_NAME, _int8) = {gemm<false>, conv1, im2col};
#elif defined(FER_TABLE_BF16)
extern const FerKernels FER_JOIN(FER_NAME, _bf16);
const FerKernels FER_JOIN(FER_NAME, _bf16) = {gemm<Bf16>, conv1, im2col};
#elif defined(FER_TABLE_INT8)
extern const FerKernels FER_JOIN(FER_NAME, _int8);
const FerKernels FER_JOIN(FER_NAME, _int8) = {gemm<Int8>, conv1, im2col};
#else
extern const FerKernels FER_JOIN(FER_NAME, _f32);
const FerKernels FER_JOIN(FER_NAME, _f32) = {gemm<F32>, conv1, im2col};
#endif
