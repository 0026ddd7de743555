// Rows, outputs and tiles of both kinds of products.
#pragma once

#include "kernels/amx/packed.h"
#include "kernels/avx512/transpose.h"

namespace hadal::kernels::HADAL_WIDE::amx {

// The outputs of sixteen rows until all columns are through.
struct alignas(64) Outputs {
  static constexpr int64_t tokens = 512;
  float sums[tokens / token_group][16 * 16];  // [group][row][token]

  void clear(int64_t groups) {
    for (int64_t g = 0; g < groups; ++g) {
      for (int i = 0; i < 256; i += 16) store_floats(sums[g] + i, zero_floats());
    }
  }

  // To rows [row, row + 16) and tokens [token, token + n) of y.
  void write(const Matmul& m, int64_t row, int64_t token, int64_t n) const {
    const int rows = static_cast<int>(m.row_end - row < 16 ? m.row_end - row : 16);
    for (int64_t t = 0; t < n; t += token_group) {
      Ints v[16];
      for (int r = 0; r < 16; ++r) v[r] = load(sums[t / token_group] + 16 * r);
      transpose16(v);
      const int64_t here = n - t < token_group ? n - t : token_group;
      float* y = m.y + (token + t) * m.y_stride + row - m.row_begin;
      for (int i = 0; i < here; ++i) store_first(y + i * m.y_stride, 4 * rows, v[i]);
    }
  }
};

// First bytes of rows [row, row + 16); rows past the end repeat the last one.
HADAL_OP void row_pointers(const Matmul& m, int64_t row, const uint8_t** p) {
  for (int64_t r = 0; r < 16; ++r) {
    const int64_t i = row + r < m.row_end ? row + r : m.row_end - 1;
    p[r] = static_cast<const uint8_t*>(m.w->data) + i * m.w->row_bytes;
  }
}

// First byte of a row, or of the end of the rows.
HADAL_OP const uint8_t* row_limit(const Matmul& m, int64_t row) {
  const int64_t i = row < m.row_end ? row : m.row_end;
  return static_cast<const uint8_t*>(m.w->data) + i * m.w->row_bytes;
}

// Two neighbouring words in all lanes.
HADAL_OP Ints set_pair(const int16_t* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, 4);
  return set32(pair);
}

}  // namespace hadal::kernels::HADAL_WIDE::amx
