// Part of kernels.cpp: the matrix product in AMX tile registers, 2×2 tiles of sums at a time, or 1×4 where one
// row of tiles is left.

struct TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
};

// Tiles 0–3 hold sums, 4 and 5 activations, 6 and 7 weights.
inline void configure(size_t rows) {
  TileConfig config = {};
  config.palette = 1;
  for (int i = 0; i < 8; ++i) {
    config.bytes[i] = 64;
    config.rows[i] = i < 6 ? static_cast<uint8_t>(rows) : 16;
  }
  // The intrinsic tells the compiler of the first eight bytes only.
  __asm__ volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

// Tile numbers must be literals.
#define FER_DOT(c, a, b)           \
  do {                             \
    if constexpr (BF16)            \
      _tile_dpbf16ps(c, a, b);     \
    else                           \
      _tile_dpbusd(c, a, b);       \
  } while (0)

template <bool BF16> struct SumOf { typedef vf V; };
template <> struct SumOf<false> { typedef vi V; };

// Tiles m, m+1 × n, n+1.
template <bool BF16> inline void square(const FerGemm &g, size_t m, size_t n) {
  const size_t panel = g.k_steps * 1024;
  const uint8_t *a0 = g.a + g.tile_off[m], *a1 = g.a + g.tile_off[m + 1];
  const uint8_t *b = g.b + n * panel;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t k = 0; k < g.k_steps; ++k, b += 1024) {
    const size_t at = g.k_off[k];
    _tile_loadd(4, a0 + at, g.row_stride);
    _tile_loadd(6, b, 64);
    FER_DOT(0, 4, 6);
    _tile_loadd(7, b + panel, 64);
    FER_DOT(1, 4, 7);
    _tile_loadd(5, a1 + at, g.row_stride);
    FER_DOT(2, 5, 6);
    FER_DOT(3, 5, 7);
  }
  typename SumOf<BF16>::V c[4][16][PARTS];
  _tile_stored(0, c[0], 64);
  _tile_stored(1, c[1], 64);
  _tile_stored(2, c[2], 64);
  _tile_stored(3, c[3], 64);
  const size_t rows = rows_in(g, m + 1);
  finish_tile(g, m, n, c[0], 16);
  finish_tile(g, m, n + 1, c[1], 16);
  finish_tile(g, m + 1, n, c[2], rows);
  finish_tile(g, m + 1, n + 1, c[3], rows);
}

// Tile m × n … n+3.
template <bool BF16> inline void row(const FerGemm &g, size_t m, size_t n) {
  const size_t panel = g.k_steps * 1024;
  const uint8_t *a = g.a + g.tile_off[m];
  const uint8_t *b = g.b + n * panel;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t k = 0; k < g.k_steps; ++k, b += 1024) {
    _tile_loadd(4, a + g.k_off[k], g.row_stride);
    _tile_loadd(6, b, 64);
    FER_DOT(0, 4, 6);
    _tile_loadd(7, b + panel, 64);
    FER_DOT(1, 4, 7);
    _tile_loadd(6, b + 2 * panel, 64);
    FER_DOT(2, 4, 6);
    _tile_loadd(7, b + 3 * panel, 64);
    FER_DOT(3, 4, 7);
  }
  typename SumOf<BF16>::V c[4][16][PARTS];
  _tile_stored(0, c[0], 64);
  _tile_stored(1, c[1], 64);
  _tile_stored(2, c[2], 64);
  _tile_stored(3, c[3], 64);
  for (size_t i = 0; i < 4; ++i) finish_tile(g, m, n + i, c[i], rows_in(g, m));
}

template <bool BF16> void gemm(const FerGemm *args) {
  const FerGemm &g = *args;
  const size_t tiles = (g.rows + 15) / 16;
  const size_t pairs = tiles / 2;
  // With a single tile its missing rows are not computed; a cut last tile of several is, on memory that the
  // caller has, and its rows are not written.
  configure(tiles == 1 ? g.rows : 16);
  if (g.m_outer) {
    for (size_t m = 0; m < pairs; ++m)
      for (size_t n = 0; n < g.n_tiles; n += 2) square<BF16>(g, 2 * m, n);
  } else {
    for (size_t n = 0; n < g.n_tiles; n += 2)
      for (size_t m = 0; m < pairs; ++m) square<BF16>(g, 2 * m, n);
  }
  if (tiles % 2 != 0)
    for (size_t n = 0; n < g.n_tiles; n += 4) row<BF16>(g, tiles - 1, n);
  _tile_release();
}
