// Sixteen vectors of sixteen 32-bit lanes, transposed.
#pragma once

#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE {

// v[i], lane j <- v[j], lane i.
HADAL_OP void transpose16(Ints* v) {
  Ints a[16], b[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    a[i] = unpack_low32(v[i], v[i + 1]);
    a[i + 1] = unpack_high32(v[i], v[i + 1]);
  }
  // b[4 i + c], quarter q: column 4 q + c of rows 4 i ... 4 i + 3.
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    b[i] = unpack_low64(a[i], a[i + 2]);
    b[i + 1] = unpack_high64(a[i], a[i + 2]);
    b[i + 2] = unpack_low64(a[i + 1], a[i + 3]);
    b[i + 3] = unpack_high64(a[i + 1], a[i + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const Ints even0 = shuffle_quarters<0x88>(b[c], b[4 + c]);
    const Ints odd0 = shuffle_quarters<0xdd>(b[c], b[4 + c]);
    const Ints even1 = shuffle_quarters<0x88>(b[8 + c], b[12 + c]);
    const Ints odd1 = shuffle_quarters<0xdd>(b[8 + c], b[12 + c]);
    v[c] = shuffle_quarters<0x88>(even0, even1);
    v[4 + c] = shuffle_quarters<0x88>(odd0, odd1);
    v[8 + c] = shuffle_quarters<0xdd>(even0, even1);
    v[12 + c] = shuffle_quarters<0xdd>(odd0, odd1);
  }
}

}  // namespace hadal::kernels::HADAL_WIDE
