// Formats with blocks of 256. A row of a block becomes whole numbers scale * code in one or two
// planes of bytes: value = low + 256 * high, low unsigned, high signed. A format F says
//   bytes, planes    of a block; planes of bytes
//   has_min, group   there are minima, of 16 or 32 codes; min_shift: bits below them in a byte
//   d_at, m_at       where the block's two F16 are; the second counts as negative
//   decode           writes row r of a block's planes and minima
#pragma once

#include "kernels/amx/nibbles.h"

namespace hadal::kernels::HADAL_WIDE::amx {

// Sixteen rows of a block, in the order in which a tile takes its first operand.
template <class F>
struct alignas(64) LargeRows {
  static constexpr int min_groups = F::has_min ? 256 / F::group : 1;
  uint8_t codes[4][F::planes][16][64];  // [64 columns][plane][row][column]
  float d[16], m[16];                   // [row]
  int16_t mins[16][min_groups];         // [row][group]
  // As read, before they are brought into the form above for all rows together.
  uint16_t d_half[16], m_half[16];
  uint8_t min_bytes[16][min_groups];
};

// All products of a scale of 6 bits (0 ... 63) with the values of a code (of 16 or 32).
struct alignas(64) Products {
  struct {
    uint8_t low[32], high[32];
  } of[64];
};
template <class Value>
constexpr Products make_products(Value value) {
  Products products = {};
  for (int s = 0; s < 64; ++s) {
    for (int i = 0; i < 32; ++i) {
      const auto v = static_cast<uint32_t>(value(s, i));
      products.of[s].low[i] = static_cast<uint8_t>(v);
      products.of[s].high[i] = static_cast<uint8_t>(v >> 8);
    }
  }
  return products;
}

constexpr int iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                1,    13,   25,  38,  53,  69,  89,  113};
static constexpr Products q4_products = make_products([](int s, int i) { return s * (i & 15); });
static constexpr Products q5_products = make_products([](int s, int i) { return s * i; });
static constexpr Products iq4_products =
    make_products([](int s, int i) { return (s - 32) * iq4_values[i & 15]; });

template <class Rows>
HADAL_OP void store_looked_up(const Products& table, unsigned s0, unsigned s1, Ints index, int j,
                              int r, Rows& out) {
  const auto &a = table.of[s0], &b = table.of[s1];
  store(out.codes[j][0][r], shuffle_bytes(load_halves(a.low, b.low), index));
  store(out.codes[j][1][r], shuffle_bytes(load_halves(a.high, b.high), index));
}

// Signed codes times scales, one 16-bit scale for each sixteen codes of a quarter.
template <class Rows>
HADAL_OP void store_products(Ints codes, Ints scales, int j, int r, Rows& out) {
  constexpr uint64_t odd_bytes = 0xaaaaaaaaaaaaaaaaull;
  const Ints even = mul16(shift_right_signed16<8>(shift_left16<8>(codes)), scales);
  const Ints odd = mul16(shift_right_signed16<8>(codes), scales);
  store(out.codes[j][0][r], blend8(odd_bytes, even, shift_left16<8>(odd)));
  store(out.codes[j][1][r], blend8(odd_bytes, shift_right16<8>(even), odd));
}

// Lanes 4 j ... 4 j + 3 of sixteen, each over a quarter.
HADAL_OP Ints spread_quarters(Ints lanes, int j) {
  alignas(64) static constexpr int32_t quarter[16] = {0, 0, 0, 0, 1, 1, 1, 1,
                                                      2, 2, 2, 2, 3, 3, 3, 3};
  return permute32(add32(load(quarter), set32(4 * j)), lanes);
}

// Sixteen signed bytes as lanes of two equal words.
HADAL_OP Ints twice(const void* p) {
  const Ints v = load_i8_as_i32(p);
  return bit_or(shift_left32<16>(v), bit_and(v, set32(0xffff)));
}

// Q4_K and Q5_K: eight 6-bit scales and minima in twelve bytes, as two words of eight bytes.
struct SixBits {
  uint64_t scales, mins;
};
HADAL_OP SixBits six_bits(const uint8_t* s) {
  constexpr uint32_t six = 0x3f3f3f3fu, four = 0x0f0f0f0fu, two = 0x30303030u;
  const uint32_t a = load_u32(s), b = load_u32(s + 4), c = load_u32(s + 8);
  const uint64_t scales_high = (c & four) | (a >> 2 & two);
  const uint64_t mins_high = (c >> 4 & four) | (b >> 2 & two);
  return {(a & six) | scales_high << 32, (b & six) | mins_high << 32};
}
HADAL_OP unsigned byte_of(uint64_t v, int i) {
  return static_cast<uint8_t>(v >> (8 * i));
}

struct LargeFormat {
  static constexpr int planes = 2, group = 32, d_at = 0, m_at = 0, min_shift = 0;
  static constexpr bool has_min = false;
};

struct Q4_K : LargeFormat {
  static constexpr int64_t bytes = 144;
  static constexpr bool has_min = true;
  static constexpr int m_at = 2;

  template <class Rows>
  HADAL_OP void decode(const uint8_t* p, int r, Rows& out) {
    const SixBits six = six_bits(p + 4);
    __builtin_memcpy(out.min_bytes[r], &six.mins, 8);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      store_looked_up(q4_products, byte_of(six.scales, 2 * j), byte_of(six.scales, 2 * j + 1),
                      nibbles_apart(load_half_twice(p + 16 + 32 * j)), j, r, out);
    }
  }
};

struct Q5_K : Q4_K {
  static constexpr int64_t bytes = 176;

  template <class Rows>
  HADAL_OP void decode(const uint8_t* p, int r, Rows& out) {
    const SixBits six = six_bits(p + 4);
    __builtin_memcpy(out.min_bytes[r], &six.mins, 8);
    const Ints fifth = load_half_twice(p + 16);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      // The second half looks into the second half of the table.
      const Ints low = bit_or(nibbles_apart(load_half_twice(p + 48 + 32 * j)), halves16(0, 0x2020));
      const uint64_t set = any_bit8(fifth, halves16(0x0101 << 2 * j, 0x0202 << 2 * j));
      const Ints index = blend8(set, low, bit_or(low, set8(16)));
      const auto &a = q5_products.of[byte_of(six.scales, 2 * j)],
                 &b = q5_products.of[byte_of(six.scales, 2 * j + 1)];
      store(out.codes[j][0][r], permute_bytes(index, load_halves(a.low, b.low)));
      store(out.codes[j][1][r], permute_bytes(index, load_halves(a.high, b.high)));
    }
  }
};

struct Q6_K : LargeFormat {
  static constexpr int64_t bytes = 210;
  static constexpr int d_at = 208;

  template <class Rows>
  HADAL_OP void decode(const uint8_t* p, int r, Rows& out) {
    const Ints scales = twice(p + 192), four_bits = set8(15), two_bits = set8(0x30);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const Ints v = load(p + j / 2 * 64), h = load_half_twice(p + 128 + j / 2 * 32);
      const Ints low = bit_and(j % 2 == 0 ? v : shift_right16<4>(v), four_bits);
      const Ints high =
          j % 2 == 0 ? shift_left_each16(h, halves16(4, 2)) : shift_right_each16(h, halves16(0, 2));
      const Ints codes = sub8(bit_or(low, bit_and(high, two_bits)), set8(32));
      store_products(codes, spread_quarters(scales, j), j, r, out);
    }
  }
};

// Two bits of codes [64 j, 64 j + 64).
HADAL_OP Ints two_bits_apart(const uint8_t* p, int j) {
  const int shift = j % 2 * 4;
  return bit_and(shift_right_each16(load_half_twice(p + j / 2 * 32), halves16(shift, shift + 2)),
                 set8(3));
}

struct Q2_K : LargeFormat {
  static constexpr int64_t bytes = 84;
  static constexpr bool has_min = true;
  static constexpr int planes = 1, group = 16, d_at = 80, m_at = 82, min_shift = 4;

  template <class Rows>
  HADAL_OP void decode(const uint8_t* p, int r, Rows& out) {
    __builtin_memcpy(out.min_bytes[r], p, 16);
    // The products of a scale with 0 ... 3 in each lane.
    const Ints products = mul32(bit_and(load_u8_as_i32(p), set32(15)), set32(0x03020100));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      store(out.codes[j][0][r],
            shuffle_bytes(spread_quarters(products, j), two_bits_apart(p + 16, j)));
    }
  }
};

struct Q3_K : LargeFormat {
  static constexpr int64_t bytes = 110;
  static constexpr int d_at = 108;

  template <class Rows>
  HADAL_OP void decode(const uint8_t* p, int r, Rows& out) {
    constexpr uint32_t four = 0x0f0f0f0fu, two = 0x30303030u;
    const uint32_t a = load_u32(p + 96), b = load_u32(p + 100), c = load_u32(p + 104);
    const uint32_t bits[4] = {(a & four) | (c << 4 & two), (b & four) | (c << 2 & two),
                              (a >> 4 & four) | (c & two), (b >> 4 & four) | (c >> 2 & two)};
    const Ints scales = sub16(twice(bits), set16(32));
    const Ints third = load_half_twice(p);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const Ints low = two_bits_apart(p + 32, j);
      const uint64_t set = any_bit8(third, halves16(0x0101 << 2 * j, 0x0202 << 2 * j));
      store_products(blend8(set, sub8(low, set8(4)), low), spread_quarters(scales, j), j, r, out);
    }
  }
};

struct IQ4_XS : LargeFormat {
  static constexpr int64_t bytes = 136;

  template <class Rows>
  HADAL_OP void decode(const uint8_t* p, int r, Rows& out) {
    // Nibbles of four bytes to eight bytes, and two bits of each from the word in front.
    uint64_t low = load_u32(p + 4), high = load_u32(p) >> 16;
    low = (low | low << 16) & 0x0000ffff0000ffffull;
    low = (low | low << 8) & 0x00ff00ff00ff00ffull;
    low = (low | low << 4) & 0x0f0f0f0f0f0f0f0full;
    high = (high | high << 24) & 0x000000ff000000ffull;
    high = (high | high << 12) & 0x000f000f000f000full;
    high = (high | high << 6) & 0x0303030303030303ull;
    const uint64_t scales = low | high << 4;  // 32 more than they are
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const uint8_t* q = p + 8 + 32 * j;
      store_looked_up(iq4_products, byte_of(scales, 2 * j), byte_of(scales, 2 * j + 1),
                      nibbles_in_turn(q, q + 16), j, r, out);
    }
  }
};

}  // namespace hadal::kernels::HADAL_WIDE::amx
