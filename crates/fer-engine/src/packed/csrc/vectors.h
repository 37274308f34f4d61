// Part of kernels.cpp: the matrix product in vector registers.

// sum + a·b over four bytes of K; `a` is the same for all channels.
struct F32 {
  typedef vf Sum;
  static inline void dot(Sum &sum, const uint8_t *a, const uint8_t *b) {
    sum += splat(*reinterpret_cast<const float *>(a)) * load(reinterpret_cast<const float *>(b));
  }
};
#if defined(__AVX512BF16__)
struct Bf16 {
  typedef vf Sum;
  static inline void dot(Sum &sum, const uint8_t *a, const uint8_t *b) {
    const __m512i x = _mm512_set1_epi32(*reinterpret_cast<const int32_t *>(a));
    sum = (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)_mm512_loadu_si512(b));
  }
};
#endif
#if defined(__AVX512VNNI__)
struct Int8 {
  typedef vi Sum;
  static inline void dot(Sum &sum, const uint8_t *a, const uint8_t *b) {
    const __m512i x = _mm512_set1_epi32(*reinterpret_cast<const int32_t *>(a));
    sum = (vi)_mm512_dpbusd_epi32((__m512i)sum, x, _mm512_loadu_si512(b));
  }
};
#endif

// How many sums the registers hold: WIDE rows × PANELS weight tiles × PARTS.
#if defined(__AVX512F__)
constexpr size_t WIDE = 8, PANELS = 2;  // 16 of 32
#elif defined(__AVX2__)
constexpr size_t WIDE = 6, PANELS = 1;  // 12 of 16
#elif defined(__aarch64__)
constexpr size_t WIDE = 4, PANELS = 1;  // 16 of 32
#else
constexpr size_t WIDE = 2, PANELS = 1;  // 8 of 16
#endif

template <class V> struct Sums {
  V tile[PANELS][16][PARTS];
};

// R rows × PANELS weight tiles, sums in registers over all of K.
template <class T, size_t R>
inline void block(const FerGemm &g, const uint8_t *a, const uint8_t *b, Sums<typename T::Sum> &c, size_t first) {
  typename T::Sum sum[R][PANELS][PARTS] = {};
  const size_t panel = g.k_steps * 1024;
  for (size_t k = 0; k < g.k_steps; ++k) {
    const uint8_t *ak = a + g.k_off[k];
    const uint8_t *bk = b + k * 1024;
    for (size_t q = 0; q < 16; ++q)
#pragma GCC unroll 8
      for (size_t r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (size_t n = 0; n < PANELS; ++n)
#pragma GCC unroll 4
          for (size_t p = 0; p < PARTS; ++p)
            T::dot(sum[r][n][p], ak + r * g.row_stride + q * 4, bk + n * panel + q * 64 + p * LANES * 4);
  }
#pragma GCC unroll 8
  for (size_t r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (size_t n = 0; n < PANELS; ++n)
#pragma GCC unroll 4
      for (size_t p = 0; p < PARTS; ++p) c.tile[n][first + r][p] = sum[r][n][p];
}

template <class T> inline void tile(const FerGemm &g, size_t m, size_t n) {
  Sums<typename T::Sum> c;
  const size_t rows = rows_in(g, m);
  const uint8_t *a = g.a + g.tile_off[m];
  const uint8_t *b = g.b + n * g.k_steps * 1024;
  size_t r = 0;
  for (; r + WIDE <= rows; r += WIDE) block<T, WIDE>(g, a + r * g.row_stride, b, c, r);
  if constexpr (WIDE > 4)
    for (; r + 4 <= rows; r += 4) block<T, 4>(g, a + r * g.row_stride, b, c, r);
  if constexpr (WIDE > 2)
    for (; r + 2 <= rows; r += 2) block<T, 2>(g, a + r * g.row_stride, b, c, r);
  for (; r < rows; ++r) block<T, 1>(g, a + r * g.row_stride, b, c, r);
  for (size_t p = 0; p < PANELS; ++p) finish_tile(g, m, n + p, c.tile[p], rows);
}

template <class T> void gemm(const FerGemm *args) {
  const FerGemm &g = *args;
  const size_t tiles = (g.rows + 15) / 16;
  if (g.m_outer) {
    for (size_t m = 0; m < tiles; ++m)
      for (size_t n = 0; n < g.n_tiles; n += PANELS) tile<T>(g, m, n);
  } else {
    for (size_t n = 0; n < g.n_tiles; n += PANELS)
      for (size_t m = 0; m < tiles; ++m) tile<T>(g, m, n);
  }
}
