// Formats with blocks of 32, whose codes fit into signed bytes. A format F says
//   bytes, has_min   of a block; there is a minimum (an F16 behind the first)
//   power_scale      the scale is power(p) and no F16
//   codes(p, q)      the codes of the blocks at p and q
#pragma once

#include "base/scalar.h"
#include "kernels/amx/nibbles.h"

namespace hadal::kernels::HADAL_WIDE::amx {

// Sixteen rows of two neighbouring blocks, in the order in which a tile takes its first operand.
template <class F>
struct alignas(64) SmallRows {
  int8_t codes[16][64];                       // [row][block, column]
  float d[2][16], m[2][F::has_min ? 16 : 1];  // [block][row]
  uint16_t d_half[2][16], m_half[2][16];      // as read
};

// Bits of the blocks at p and q as a mask of 64 codes.
HADAL_OP uint64_t bits_of(const uint8_t* p, const uint8_t* q) {
  return load_u32(p) | uint64_t{load_u32(q)} << 32;
}

struct SmallFormat {
  static constexpr bool has_min = false, power_scale = false;
};

struct Q8_0 : SmallFormat {
  static constexpr int64_t bytes = 34;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) { return load_halves(p + 2, q + 2); }
};

struct Q4_0 : SmallFormat {
  static constexpr int64_t bytes = 18;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) {
    return sub8(nibbles_in_turn(p + 2, q + 2), set8(8));
  }
};

struct Q4_1 : SmallFormat {
  static constexpr int64_t bytes = 20;
  static constexpr bool has_min = true;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) { return nibbles_in_turn(p + 4, q + 4); }
};

struct Q5_0 : SmallFormat {
  static constexpr int64_t bytes = 22;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) {
    const Ints low = nibbles_in_turn(p + 6, q + 6);
    return blend8(bits_of(p + 2, q + 2), sub8(low, set8(16)), low);
  }
};

struct Q5_1 : SmallFormat {
  static constexpr int64_t bytes = 24;
  static constexpr bool has_min = true;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) {
    const Ints low = nibbles_in_turn(p + 8, q + 8);
    return blend8(bits_of(p + 4, q + 4), low, bit_or(low, set8(16)));
  }
};

struct IQ4_NL : SmallFormat {
  static constexpr int64_t bytes = 18;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) {
    alignas(16) static constexpr int8_t values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};
    return shuffle_bytes(load_quarter_4x(values), nibbles_in_turn(p + 2, q + 2));
  }
};

struct MXFP4 : SmallFormat {
  static constexpr int64_t bytes = 17;
  static constexpr bool power_scale = true;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) {
    alignas(16) static constexpr int8_t values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                      0, -1, -2, -3, -4, -6, -8, -12};
    return shuffle_bytes(load_quarter_4x(values), nibbles_in_turn(p + 1, q + 1));
  }
  HADAL_OP float power(const uint8_t* p) {
    const uint32_t e = p[0];
    return bits_float(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  }
};

}  // namespace hadal::kernels::HADAL_WIDE::amx
