// Panels of operands, and operands transposed.
#include "kernels/avx512/pairs.h"
#include "kernels/avx512/product_entries.h"
#include "kernels/avx512/transpose.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

using quant::Type;

constexpr int64_t panel = product_panel, step = product_step;

const char* element(const Operand& m, int64_t row, int64_t col) {
  return static_cast<const char*>(m.data) + (row * m.stride + col) * (m.type == Type::BF16 ? 2 : 4);
}

// Sixteen rows of 64 bytes from (row, col) on, zeros behind the last row and column.
HADAL_OP void load_rows(const Operand& m, int64_t row, int64_t col, int size, Ints* v) {
  const int64_t left = (m.cols - col) * size;
  const int bytes = static_cast<int>(left < 64 ? left : 64);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    v[i] = row + i >= m.rows ? zero()
           : bytes == 64     ? load(element(m, row + i, col))
                             : load_first(element(m, row + i, col), bytes);
}

}  // namespace

void pack_rows(const Packing& p) {
  const Operand& m = p.from;
  auto* out = static_cast<char*>(p.out);
  if (m.type == Type::F32) {
    for (int64_t c = 0; c < m.cols; c += panel, out += p.stride) {
      const int count = static_cast<int>(m.cols - c < panel ? m.cols - c : panel);
      for (int64_t k = 0; k < m.rows; ++k)
        store(out + 64 * k, load_first(element(m, k, c), 4 * count));
    }
    return;
  }
  alignas(64) char unused[tile_bytes];
  for (int64_t k = 0; k < m.rows; k += step) {
    for (int64_t c = 0; c < m.cols; c += 2 * panel) {
      char* low = out + c / panel * p.stride + k / step * tile_bytes;
      char* high = m.cols - c > panel ? low + p.stride : unused;
      pack_rows(reinterpret_cast<const uint16_t*>(element(m, k, c)), m.stride, m.rows - k,
                m.cols - c, low, high);
    }
  }
}

// Lanes of 32 bits: one float, or two neighbours of BF16.
void pack_columns(const Packing& p) {
  const Operand& m = p.from;
  const int size = m.type == Type::BF16 ? 2 : 4;
  const int64_t across = 64 / size;
  auto* out = static_cast<char*>(p.out);
  for (int64_t r = 0; r < m.rows; r += panel, out += p.stride) {
    for (int64_t k = 0; k < m.cols; k += across) {
      Ints v[16];
      load_rows(m, r, k, size, v);
      transpose16(v);
      char* to = out + k / across * tile_bytes;
      const int64_t lines = size == 2 || m.cols - k > 16 ? 16 : m.cols - k;
      for (int64_t i = 0; i < lines; ++i) store(to + 64 * i, v[i]);
    }
  }
}

namespace {

// Columns [c, c + 16) of 32 rows: BF16 by pairs of rows, then lanes transposed.
HADAL_OP void transpose_bf16(const char* tile, int64_t columns, uint16_t* out, int64_t stride) {
  Ints v[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) v[i] = load(tile + 64 * i);
  transpose16(v);
  if (columns >= 16) {
#pragma GCC unroll 16
    for (int64_t i = 0; i < 16; ++i) store(out + i * stride, v[i]);
  } else {
    for (int64_t i = 0; i < columns; ++i) store(out + i * stride, v[i]);
  }
}

}  // namespace

void transpose(const Packing& p) {
  const Operand& m = p.from;
  const int64_t end = (m.rows + step - 1) / step * step;
  if (m.type == Type::F32) {
    auto* out = static_cast<float*>(p.out);
    for (int64_t r = 0; r < end; r += 16) {
      for (int64_t c = 0; c < m.cols; c += 16) {
        Ints v[16];
        load_rows(m, r, c, 4, v);
        transpose16(v);
        for (int64_t i = 0; i < 16 && c + i < m.cols; ++i)
          store(out + (c + i) * p.stride + r, v[i]);
      }
    }
    return;
  }
  auto* out = static_cast<uint16_t*>(p.out);
  alignas(64) char pairs[2][tile_bytes];
  for (int64_t r = 0; r < end; r += step) {
    for (int64_t c = 0; c < m.cols; c += 2 * panel) {
      pack_rows(reinterpret_cast<const uint16_t*>(element(m, r, c)), m.stride, m.rows - r,
                m.cols - c, pairs[0], pairs[1]);
      transpose_bf16(pairs[0], m.cols - c, out + c * p.stride + r, p.stride);
      if (m.cols - c > panel)
        transpose_bf16(pairs[1], m.cols - c - panel, out + (c + panel) * p.stride + r, p.stride);
    }
  }
}

}  // namespace hadal::kernels::HADAL_WIDE
