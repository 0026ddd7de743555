// Products of operands by tiles: rows of a as they lie are the first operand, panels the second, so
// that sums go straight to y. Blocks of 32 rows and 32 columns are four tiles of sums.
#include "kernels/amx/values.h"
#include "kernels/avx512/product_entries.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

// Of k that go through together: 32 rows of them are 32 KB, which stay in the nearest cache.
constexpr int64_t k_block = 512;
// Of columns that all rows meet before the next: their panels, 512 KB, stay in the second cache.
constexpr int64_t column_block = 512;

struct Block {
  const char* a;
  int64_t a_stride;  // bytes
  const char* b;
  int64_t panel_stride;
  int64_t steps;
  float* y;
  int64_t y_stride;  // bytes
  bool add;
};

template <int rows, int panels>
HADAL_OP void multiply(const Block& o) {
  auto* y = reinterpret_cast<char*>(o.y);
  char* low = y + 16 * o.y_stride;
  if (o.add) {
    tile_load<0>(y, o.y_stride);
    if constexpr (panels > 1) tile_load<1>(y + 64, o.y_stride);
    if constexpr (rows > 1) tile_load<2>(low, o.y_stride);
    if constexpr (rows > 1 && panels > 1) tile_load<3>(low + 64, o.y_stride);
  } else {
    tile_zero<0>();
    if constexpr (panels > 1) tile_zero<1>();
    if constexpr (rows > 1) tile_zero<2>();
    if constexpr (rows > 1 && panels > 1) tile_zero<3>();
  }
  const char* a = o.a;
  const char* b = o.b;
  for (int64_t s = 0; s < o.steps; ++s, a += 64, b += tile_bytes) {
    tile_load<6>(b, 64);
    tile_load<4>(a, o.a_stride);
    tile_dot_bf16<0, 4, 6>();
    if constexpr (panels > 1) {
      tile_load<7>(b + o.panel_stride, 64);
      tile_dot_bf16<1, 4, 7>();
    }
    if constexpr (rows > 1) {
      tile_load<5>(a + 16 * o.a_stride, o.a_stride);
      tile_dot_bf16<2, 5, 6>();
      if constexpr (panels > 1) tile_dot_bf16<3, 5, 7>();
    }
  }
  tile_store<0>(y, o.y_stride);
  if constexpr (panels > 1) tile_store<1>(y + 64, o.y_stride);
  if constexpr (rows > 1) tile_store<2>(low, o.y_stride);
  if constexpr (rows > 1 && panels > 1) tile_store<3>(low + 64, o.y_stride);
}

// The last panel, if it has fewer than sixteen columns, by way of whole tiles; rows <= 32.
template <int tiles>
void multiply_part(const Block& o, int64_t rows, int columns) {
  alignas(64) float sums[32 * 16];
  auto* y = reinterpret_cast<char*>(o.y);
  if (o.add)
    for (int64_t r = 0; r < rows; ++r)
      store(sums + 16 * r, load_first(y + r * o.y_stride, 4 * columns));
  Block whole = o;
  whole.y = sums;
  whole.y_stride = 64;
  multiply<tiles, 1>(whole);
  for (int64_t r = 0; r < rows; ++r)
    store_first(y + r * o.y_stride, 4 * columns, load(sums + 16 * r));
}

// Columns [0, cols) of up to 32 rows, for which the tiles are configured.
template <int tiles>
HADAL_OP void multiply_rows(Block o, int64_t cols, int64_t rows) {
  int64_t c = 0;
  for (; c + 32 <= cols; c += 32, o.b += 2 * o.panel_stride, o.y += 32) multiply<tiles, 2>(o);
  if (c + 16 <= cols) {
    multiply<tiles, 1>(o);
    c += 16;
    o.b += o.panel_stride;
    o.y += 16;
  }
  if (c < cols) multiply_part<tiles>(o, rows, static_cast<int>(cols - c));
}

// Tiles for the last rows, fewer than 32.
void configure_rows(int64_t rows) {
  TileShapes shapes;
  for (int t = 0; t < 8; ++t) {
    const bool second = t == 2 || t == 3 || t == 5;
    const int64_t left = second ? rows - 16 : rows;
    shapes.rows[t] = static_cast<uint8_t>(left >= 16 || t > 5 ? 16 : left < 1 ? 1 : left);
    shapes.row_bytes[t] = 64;
  }
  tile_configure(shapes);
}

Block block_at(const PanelProduct& m, int64_t row, int64_t k, int64_t c) {
  const int64_t left = m.a.cols - k < k_block ? m.a.cols - k : k_block;
  return {static_cast<const char*>(m.a.data) + 2 * (row * m.a.stride + k),
          2 * m.a.stride,
          static_cast<const char*>(m.b) + k / product_step * tile_bytes +
              c / product_panel * m.panel_stride,
          m.panel_stride,
          (left + product_step - 1) / product_step,
          m.y + row * m.y_stride + c,
          4 * m.y_stride,
          m.add || k > 0};
}

}  // namespace

void product_tiles(const PanelProduct& m) {
  if (m.a.type != quant::Type::BF16) return product(m);
  const int64_t whole = m.a.rows / 32 * 32, rest = m.a.rows - whole;
  // Calls body(k, c, cols) for all blocks.
  const auto each_block = [&](const auto& body) {
    for (int64_t k = 0; k < m.a.cols; k += k_block)
      for (int64_t c = 0; c < m.cols; c += column_block)
        body(k, c, m.cols - c < column_block ? m.cols - c : column_block);
  };
  if (whole > 0) {
    configure_whole_tiles();
    each_block([&](int64_t k, int64_t c, int64_t cols) {
      for (int64_t row = 0; row < whole; row += 32)
        multiply_rows<2>(block_at(m, row, k, c), cols, 32);
    });
  }
  if (rest > 0) {
    configure_rows(rest);
    each_block([&](int64_t k, int64_t c, int64_t cols) {
      if (rest > 16)
        multiply_rows<2>(block_at(m, whole, k, c), cols, rest);
      else
        multiply_rows<1>(block_at(m, whole, k, c), cols, rest);
    });
  }
  tile_release();
}

}  // namespace hadal::kernels::HADAL_WIDE
