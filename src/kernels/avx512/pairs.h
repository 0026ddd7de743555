// BF16 rows for tiles: two neighbouring rows are interleaved, as the second operand of tiles wants
// them.
#pragma once

#include "kernels/attend.h"
#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE {

constexpr int64_t tile_bytes = 16 * 64;  // of one register

// Columns [0, 32) of 32 rows, stride in bytes, to two tiles.
HADAL_OP void pack_whole(const char* rows, int64_t stride, char* low, char* high) {
  // Quarter i of columns 0 ... 15 comes from the row's eight bytes i, of 16 ... 31 from 4 + i.
  alignas(64) static const uint32_t order[16] = {0, 1, 8,  9,  2, 3, 10, 11,
                                                 4, 5, 12, 13, 6, 7, 14, 15};
  const Ints spread = load(order);
#pragma GCC unroll 4
  for (int pair = 0; pair < 16; ++pair) {
    const Ints x = permute32(spread, load(rows + 2 * pair * stride));
    const Ints y = permute32(spread, load(rows + (2 * pair + 1) * stride));
    store(low + 64 * pair, unpack_low16(x, y));
    store(high + 64 * pair, unpack_high16(x, y));
  }
}

// The same of fewer rows or columns, with zeros for the others; stride in elements.
static inline void pack_part(const uint16_t* rows, int64_t stride, int64_t count, int64_t columns,
                             char* low, char* high) {
  alignas(64) char whole[attend_step * 64];
  const int bytes = static_cast<int>(columns < 32 ? 2 * columns : 64);
  for (int64_t j = 0; j < attend_step; ++j)
    store(whole + 64 * j, j < count ? load_first(rows + j * stride, bytes) : zero());
  pack_whole(whole, 64, low, high);
}

// Either: the next 32 columns, of `columns`, of the next 32 rows, of `count`.
HADAL_OP void pack_rows(const uint16_t* rows, int64_t stride, int64_t count, int64_t columns,
                        char* low, char* high) {
  if (count >= attend_step && columns >= 32)
    pack_whole(reinterpret_cast<const char*>(rows), 2 * stride, low, high);
  else
    pack_part(rows, stride, count, columns, low, high);
}

}  // namespace hadal::kernels::HADAL_WIDE
