// The network's first block in training: 3×3 convolution (zero padded, 1 → 64 channels), then 2×2 max pooling, in
// one pass, and its gradient. src/network/block1.rs says why, and checks every size.
//
// No function here throws, allocates or keeps state; all memory belongs to the caller.
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__GLIBC__)  // defined by the headers above
#include <malloc.h>
#endif

namespace {

constexpr size_t SIDE = 48, PADDED = SIDE + 2, POOLED = SIDE / 2, CHANNELS = 64, LANES = 16;

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef uint16_t vh __attribute__((vector_size(2 * LANES)));
typedef uint8_t vb __attribute__((vector_size(LANES)));

#define INLINE static inline __attribute__((always_inline))
// One set of instructions for each processor, chosen when the program is loaded.
#if defined(__x86_64__) && defined(__linux__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

template <class V> INLINE V load(const void *from) {
  V v;
  memcpy(&v, from, sizeof v);
  return v;
}

INLINE void store(float *to, vf v) { memcpy(to, &v, sizeof v); }

// To the nearest bfloat16, ties to even; values are finite.
INLINE void store(uint16_t *to, vf v) {
  const vu bits = (vu)v;
  const vh half = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, vh);
  memcpy(to, &half, sizeof half);
}

INLINE vf gradient(const float *from) { return load<vf>(from); }
INLINE vf gradient(const uint16_t *from) { return (vf)(__builtin_convertvector(load<vh>(from), vu) << 16); }

INLINE void pad(const float *picture, float *padded) {
  memset(padded, 0, PADDED * PADDED * sizeof(float));
  for (size_t y = 0; y < SIDE; ++y) memcpy(padded + (y + 1) * PADDED + 1, picture + y * SIDE, SIDE * sizeof(float));
}

template <class T>
INLINE void forward(const float *pictures, size_t n, const float *weight, const float *bias, T *out, uint8_t *which) {
  float padded[PADDED * PADDED];
  for (size_t i = 0; i < n; ++i) {
    pad(pictures + i * SIDE * SIDE, padded);
    for (size_t c = 0; c < CHANNELS; c += LANES) {
      vf w[9];
      for (size_t t = 0; t < 9; ++t) w[t] = load<vf>(weight + t * CHANNELS + c);
      const vf b = load<vf>(bias + c);
      for (size_t y = 0; y < POOLED; ++y)
        for (size_t x = 0; x < POOLED; ++x) {
          const float *p = padded + 2 * y * PADDED + 2 * x;
          vf sum[4] = {b, b, b, b};
#pragma GCC unroll 9
          for (size_t t = 0; t < 9; ++t) {
            const float *q = p + t / 3 * PADDED + t % 3;
            sum[0] += w[t] * q[0];
            sum[1] += w[t] * q[1];
            sum[2] += w[t] * q[PADDED];
            sum[3] += w[t] * q[PADDED + 1];
          }
          vf best = sum[0];
          vi at = {};
#pragma GCC unroll 3
          for (int k = 1; k < 4; ++k) {
            const vi more = sum[k] > best;  // the first of equals, as libtorch chooses
            best = more ? sum[k] : best;
            at = more ? (at & 0) + k : at;
          }
          const size_t to = ((i * POOLED + y) * POOLED + x) * CHANNELS + c;
          store(out + to, best);
          const vb small = __builtin_convertvector(at, vb);
          memcpy(which + to, &small, sizeof small);
        }
    }
  }
}

// Adds the gradient of the weights to `sum` [9][64]. The bias has none: batch norm takes it away again.
template <class T>
INLINE void backward(const float *pictures, size_t n, const T *grad, const uint8_t *which, float *sum) {
  float padded[PADDED * PADDED];
  for (size_t i = 0; i < n; ++i) {
    pad(pictures + i * SIDE * SIDE, padded);
    for (size_t c = 0; c < CHANNELS; c += LANES) {
      vf w[9] = {};
      for (size_t y = 0; y < POOLED; ++y)
        for (size_t x = 0; x < POOLED; ++x) {
          const size_t from = ((i * POOLED + y) * POOLED + x) * CHANNELS + c;
          const vf g = gradient(grad + from);
          const vi at = __builtin_convertvector(load<vb>(which + from), vi);
          const vi one = at == 1, two = at == 2, three = at == 3;
          const float *p = padded + 2 * y * PADDED + 2 * x;
          const vf zero = {};
#pragma GCC unroll 9
          for (size_t t = 0; t < 9; ++t) {
            const float *q = p + t / 3 * PADDED + t % 3;
            vf pixel = zero + q[0];
            pixel = one ? zero + q[1] : pixel;
            pixel = two ? zero + q[PADDED] : pixel;
            pixel = three ? zero + q[PADDED + 1] : pixel;
            w[t] += g * pixel;
          }
        }
      for (size_t t = 0; t < 9; ++t) store(sum + t * CHANNELS + c, load<vf>(sum + t * CHANNELS + c) + w[t]);
    }
  }
}

}  // namespace

extern "C" {

// `out` and `grad` hold float, or with `bf16` the bits of bfloat16.
CLONES void fer_block1_forward(const float *pictures, size_t n, const float *weight, const float *bias, void *out,
                               uint8_t *which, bool bf16) {
  if (bf16)
    forward(pictures, n, weight, bias, static_cast<uint16_t *>(out), which);
  else
    forward(pictures, n, weight, bias, static_cast<float *>(out), which);
}

CLONES void fer_block1_backward(const float *pictures, size_t n, const void *grad, const uint8_t *which, float *sum,
                                bool bf16) {
  if (bf16)
    backward(pictures, n, static_cast<const uint16_t *>(grad), which, sum);
  else
    backward(pictures, n, static_cast<const float *>(grad), which, sum);
}

}
