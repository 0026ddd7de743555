// Products with a transposed BF16 matrix by tiles: activations as they lie, times the matrix with
// its rows interleaved by pairs.
#include "kernels/amx/values.h"
#include "kernels/avx512/attend_entries.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

struct Operands {
  const char* x;     // rows of activations
  int64_t x_stride;  // bytes
  const char* w;     // tiles of 16 columns, one after another
  int64_t steps;     // of 32 rows of the matrix
};

// Sums of 16 * tokens activations and 16 * columns columns: sums [tokens][columns][16][16].
template <int tokens, int columns>
HADAL_OP void multiply(const Operands& o, float* sums) {
  tile_zero<0>();
  if constexpr (columns > 1) tile_zero<1>();
  if constexpr (tokens > 1) tile_zero<2>();
  if constexpr (tokens > 1 && columns > 1) tile_zero<3>();
  const char* x = o.x;
  const char* w = o.w;
  for (int64_t k = 0; k < o.steps; ++k, x += 64, w += tile_bytes) {
    tile_load<4>(x, o.x_stride);
    tile_load<6>(w, 64);
    tile_dot_bf16<0, 4, 6>();
    if constexpr (columns > 1) {
      tile_load<7>(w + o.steps * tile_bytes, 64);
      tile_dot_bf16<1, 4, 7>();
    }
    if constexpr (tokens > 1) {
      tile_load<5>(x + 16 * o.x_stride, o.x_stride);
      tile_dot_bf16<2, 5, 6>();
      if constexpr (columns > 1) tile_dot_bf16<3, 5, 7>();
    }
  }
  tile_store<0>(sums, 64);
  if constexpr (columns > 1) tile_store<1>(sums + 256, 64);
  if constexpr (tokens > 1) tile_store<2>(sums + 256 * columns, 64);
  if constexpr (tokens > 1 && columns > 1) tile_store<3>(sums + 768, 64);
}

template <int tokens, int columns>
void product(const TransposedBf16& m, const Operands& o, int64_t first, int64_t column) {
  alignas(64) float sums[4 * 256];
  multiply<tokens, columns>(o, sums);
  for (int t = 0; t < 16 * tokens && first + t < m.n; ++t) {
    float* y = m.y + (first + t) * m.y_stride + column;
    for (int c = 0; c < columns; ++c) {
      const int64_t rest = m.cols - column - 16 * c;
      const Floats sum = load_floats(sums + (t / 16 * columns + c) * 256 + t % 16 * 16);
      store_floats_first(y + 16 * c, static_cast<int>(rest < 16 ? rest : 16), sum);
    }
  }
}

}  // namespace

void transposed_bf16_tiles(const TransposedBf16& m) {
  const int64_t steps = attend_padded(m.rows, attend_step) / attend_step;
  auto* packed = static_cast<char*>(m.scratch);
  for (int64_t c = 0; c < m.cols; c += 32) {
    char* low = packed + c / 16 * steps * tile_bytes;
    char* high = low + steps * tile_bytes;
    for (int64_t r = 0; r < m.rows; r += attend_step, low += tile_bytes, high += tile_bytes)
      pack_rows(m.w + r * m.w_stride + c, m.w_stride, m.rows - r, m.cols - c, low, high);
  }
  configure_whole_tiles();
  for (int64_t t = 0; t < m.n; t += 32) {
    for (int64_t c = 0; c < m.cols; c += 32) {
      const Operands o = {reinterpret_cast<const char*>(m.x + t * m.x_stride), 2 * m.x_stride,
                          packed + c / 16 * steps * tile_bytes, steps};
      const bool both = m.cols - c > 16;
      if (m.n - t > 16)
        both ? product<2, 2>(m, o, t, c) : product<2, 1>(m, o, t, c);
      else
        both ? product<1, 2>(m, o, t, c) : product<1, 1>(m, o, t, c);
    }
  }
  tile_release();
}

}  // namespace hadal::kernels::HADAL_WIDE
