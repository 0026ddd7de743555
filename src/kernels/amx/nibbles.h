// Small pieces of unpacking that formats of all block sizes share.
#pragma once

#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE::amx {

HADAL_OP uint16_t load_u16(const uint8_t* p) {
  uint16_t v;
  __builtin_memcpy(&v, p, 2);
  return v;
}

HADAL_OP uint32_t load_u32(const uint8_t* p) {
  uint32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}

// Words 0 ... 15 and 16 ... 31.
HADAL_OP Ints halves16(int low, int high) {
  return blend32(0xff00, set16(low), set16(high));
}

// Bytes of which the second half holds the high nibbles: the nibbles.
HADAL_OP Ints nibbles_apart(Ints v) {
  return bit_and(shift_right_each16(v, halves16(0, 4)), set8(15));
}

// Sixteen bytes at `low`, then at `high`: low nibbles of sixteen, then their high nibbles.
HADAL_OP Ints nibbles_in_turn(const uint8_t* low, const uint8_t* high) {
  const Ints counts = blend32(0xf0f0, set16(0), set16(4));
  return bit_and(shift_right_each16(load_quarter_pairs(low, high), counts), set8(15));
}

}  // namespace hadal::kernels::HADAL_WIDE::amx
