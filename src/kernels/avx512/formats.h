// The integer formats as 64-byte vectors see them. A format F says
//   weights, bytes     of a block
//   offset             codes are unsigned bytes; the true code is code - offset
//   d, m               the block's two floats, of sixteen rows: lane r is the block at
//                      p + offsets[r]. has_min: there is an m
// formats with blocks of 32
//   codes(p, q)        the codes of two blocks, at p and at q
// formats with blocks of 256
//   codes(p, j)        codes [64 j, 64 j + 64)
//   scales(p, h)       sub-block scales as 16-bit words that meet pack32(products of codes 2 h,
//                      products of codes 2 h + 1), where products are sums of four neighbours;
//                      times 256 if scales_high
//   group              codes that share a scale: 16 or 32
//   is_broad           products exceed 16 bits: scales(p, j) are of 32 bits and meet codes(p, j)
//   minima(p, ...)     the minima of sixteen rows as bytes, four a lane, mins_count / 4 vectors;
//                      mins_count: 8 or 16 a block
#pragma once

#include "kernels/avx512/simd.h"
#include "quant/blocks.h"

namespace hadal::kernels::HADAL_WIDE {

// ---- pieces

// 16-bit counts: a in the low 32 bytes, b in the high 32; or in each quarter of 16 bytes in turn.
template <int a, int b>
HADAL_OP Ints halves16() {
  return pattern<[](int i) { return i % 2 != 0 ? 0 : i < 32 ? a : b; }>();
}
template <int a, int b>
HADAL_OP Ints quarters16() {
  return pattern<[](int i) { return i % 2 != 0 ? 0 : i / 16 % 2 == 0 ? a : b; }>();
}

// Sixteen bytes of two codes at p, then at q: low halves, then high halves of each.
HADAL_OP Ints nibbles(const uint8_t* p, const uint8_t* q) {
  return bit_and(shift_right_each16(load_quarter_pairs(p, q), quarters16<0, 4>()), set8(15));
}

HADAL_OP uint32_t load32(const uint8_t* p) {
  uint32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}

// Adds 16 where one of the 64 bits is set: those at p, then those at q.
HADAL_OP Ints add_fifth_bits(Ints codes, const uint8_t* p, const uint8_t* q) {
  const uint64_t bits = load32(p) | static_cast<uint64_t>(load32(q)) << 32;
  return add8_where(bits, codes, set8(16));
}

// Two bits of each of 64 codes, j < 4: in 32 bytes for each half, lowest first.
HADAL_OP Ints two_bits(const uint8_t* p, int j) {
  const Ints v = load_half_twice(p + j / 2 * 32);
  const Ints moved = j % 2 == 0 ? shift_right_each16(v, halves16<0, 2>())
                                : shift_right_each16(v, halves16<4, 6>());
  return bit_and(moved, set8(3));
}

// Adds `value` where the bit of the code is set: bit 2 j, then 2 j + 1 of 32 bytes at p.
HADAL_OP Ints add_high_bits(Ints codes, const uint8_t* p, int j, int value) {
  const Ints bits = load_half_twice(p);
  const Ints wanted = pattern<[](int i) { return i < 32 ? 1 : 2; }>();
  Ints moved = bits;
  if (j == 1) moved = shift_right16<2>(bits);
  if (j == 2) moved = shift_right16<4>(bits);
  if (j == 3) moved = shift_right16<6>(bits);
  return add8_where(any_bit8(moved, wanted), codes, set8(value));
}

HADAL_OP Ints iq4_table() {
  return pattern<[](int i) { return quant::iq4_values[i % 16] + 128; }>();
}

HADAL_OP Floats low_halves(const uint8_t* p, Ints offsets) {
  return halves_to_floats(gather32(p, offsets));
}
HADAL_OP Floats high_halves(const uint8_t* p, Ints offsets) {
  return halves_to_floats(shift_right32<16>(gather32(p, offsets)));
}
HADAL_OP Floats negative(Floats v) {
  return as_floats(bit_xor(as_ints(v), set32(static_cast<int32_t>(0x80000000u))));
}

// ---- blocks of 32

struct Small {
  static constexpr int64_t weights = 32;
  static constexpr bool has_min = false;
  static constexpr int offset = 0;
  HADAL_OP Floats d(const uint8_t* p, Ints offsets) { return low_halves(p, offsets); }
  HADAL_OP Floats m(const uint8_t* p, Ints offsets) { return high_halves(p, offsets); }
};

struct Q8_0 : Small {
  static constexpr int64_t bytes = 34;
  static constexpr int offset = 128;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) {
    return bit_xor(load_halves(p + 2, q + 2), set8(128));
  }
};

struct Q4_0 : Small {
  static constexpr int64_t bytes = 18;
  static constexpr int offset = 8;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) { return nibbles(p + 2, q + 2); }
};

struct Q4_1 : Small {
  static constexpr int64_t bytes = 20;
  static constexpr bool has_min = true;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) { return nibbles(p + 4, q + 4); }
};

struct Q5_0 : Small {
  static constexpr int64_t bytes = 22;
  static constexpr int offset = 16;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) {
    return add_fifth_bits(nibbles(p + 6, q + 6), p + 2, q + 2);
  }
};

struct Q5_1 : Small {
  static constexpr int64_t bytes = 24;
  static constexpr bool has_min = true;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) {
    return add_fifth_bits(nibbles(p + 8, q + 8), p + 4, q + 4);
  }
};

struct IQ4_NL : Small {
  static constexpr int64_t bytes = 18;
  static constexpr int offset = 128;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) {
    return shuffle_bytes(iq4_table(), nibbles(p + 2, q + 2));
  }
};

struct MXFP4 : Small {
  static constexpr int64_t bytes = 17;
  static constexpr int offset = 12;
  HADAL_OP Ints codes(const uint8_t* p, const uint8_t* q) {
    const Ints table = pattern<[](int i) { return quant::mxfp4_values[i % 16] + 12; }>();
    return shuffle_bytes(table, nibbles(p + 1, q + 1));
  }
  // 2^(e - 128): e - 1 is the exponent's field, below it a subnormal float.
  HADAL_OP Floats d(const uint8_t* p, Ints offsets) {
    const Ints e = bit_and(gather32(p, offsets), set32(255));
    const Ints small = shift_left_each32(set32(0x00200000), e);
    const Ints power = shift_left32<23>(sub32(e, set32(1)));
    const uint32_t is_small = less_floats(to_floats(e), set_floats(2.0f));
    return as_floats(blend32(is_small, power, small));
  }
};

// ---- blocks of 256

struct Large {
  static constexpr int64_t weights = 256;
  static constexpr bool has_min = false, scales_high = false, is_broad = false;
  static constexpr int offset = 0, mins_count = 0, group = 16;
};

// Group k of sixteen codes is in each quarter k % 4 of its 64 codes, so that words of the quarter q
// are four of group 8 h + q, then four of group 8 h + 4 + q.
constexpr int word_group(int i) {
  return i / 16 + (i % 16 < 8 ? 0 : 4);
}

struct Q4_K : Large {
  static constexpr int64_t bytes = 144;
  static constexpr bool has_min = true;
  static constexpr int mins_count = 8, group = 32;
  HADAL_OP Ints codes(const uint8_t* p, int j) {
    const Ints v = load_half_twice(p + 16 + 32 * j);
    return bit_and(shift_right_each16(v, halves16<0, 4>()), set8(15));
  }
  // Six bits each: those of groups 0 to 3 in bytes 4 to 7; of groups 4 to 7 four bits in bytes 12
  // to 15 and two bits above the former.
  HADAL_OP Ints scales(const uint8_t* p, int h) {
    const Ints head = load_quarter_4x(p);
    if (h == 0) {
      const Ints at = pattern<[](int i) { return i % 2 == 0 ? 4 + word_group(i) / 2 : 128; }>();
      return bit_and(shuffle_bytes(head, at), set16(63));
    }
    const Ints at = pattern<[](int i) { return (i % 2 == 0 ? 12 : 4) + word_group(i) / 2; }>();
    const Ints both = shuffle_bytes(head, at);
    return bit_and(bit_select(set16(15), both, shift_right16<10>(both)), set16(63));
  }
  HADAL_OP void minima(const uint8_t* p, Ints offsets, Ints* out) {
    const Ints low = gather32(p + 8, offsets), high = gather32(p + 12, offsets);
    const Ints four = set8(15), six = set8(63);
    out[0] = bit_and(low, six);
    out[1] = bit_and(bit_select(four, shift_right32<4>(high), shift_right32<2>(low)), six);
  }
  HADAL_OP Floats d(const uint8_t* p, Ints offsets) { return low_halves(p, offsets); }
  HADAL_OP Floats m(const uint8_t* p, Ints offsets) { return negative(high_halves(p, offsets)); }
};

struct Q5_K : Q4_K {
  static constexpr int64_t bytes = 176;
  HADAL_OP Ints codes(const uint8_t* p, int j) {
    return add_high_bits(Q4_K::codes(p + 32, j), p + 16, j, 16);
  }
};

struct Q6_K : Large {
  static constexpr int64_t bytes = 210;
  static constexpr int offset = 32;
  static constexpr bool scales_high = true;
  HADAL_OP Ints codes(const uint8_t* p, int j) {
    const Ints v = load(p + j / 2 * 64), high = load_half_twice(p + 128 + j / 2 * 32);
    const Ints six = set8(63), four = set8(15);
    if (j % 2 == 0)
      return bit_and(bit_select(four, v, shift_left_each16(high, halves16<4, 2>())), six);
    return bit_and(
        bit_select(four, shift_right16<4>(v), shift_right_each16(high, halves16<0, 2>())), six);
  }
  HADAL_OP Ints scales(const uint8_t* p, int h) {
    const Ints at = pattern<[](int i) { return i % 2 == 0 ? 128 : word_group(i); }>();
    const Ints high = pattern<[](int i) { return i % 2 == 0 ? 128 : 8 + word_group(i); }>();
    return shuffle_bytes(load_quarter_4x(p + 192), h == 0 ? at : high);
  }
  HADAL_OP Floats d(const uint8_t* p, Ints offsets) { return high_halves(p + 206, offsets); }
};

struct Q2_K : Large {
  static constexpr int64_t bytes = 84;
  static constexpr bool has_min = true;
  static constexpr int mins_count = 16;
  HADAL_OP Ints codes(const uint8_t* p, int j) { return two_bits(p + 16, j); }
  HADAL_OP Ints scales(const uint8_t* p, int h) {
    const Ints at = pattern<[](int i) { return i % 2 == 0 ? word_group(i) : 128; }>();
    const Ints high = pattern<[](int i) { return i % 2 == 0 ? 8 + word_group(i) : 128; }>();
    return bit_and(shuffle_bytes(load_quarter_4x(p), h == 0 ? at : high), set16(15));
  }
  HADAL_OP void minima(const uint8_t* p, Ints offsets, Ints* out) {
    for (int i = 0; i < 4; ++i)
      out[i] = bit_and(shift_right32<4>(gather32(p + 4 * i, offsets)), set8(15));
  }
  HADAL_OP Floats d(const uint8_t* p, Ints offsets) { return low_halves(p + 80, offsets); }
  HADAL_OP Floats m(const uint8_t* p, Ints offsets) {
    return negative(high_halves(p + 80, offsets));
  }
};

struct Q3_K : Large {
  static constexpr int64_t bytes = 110;
  static constexpr int offset = 4;
  HADAL_OP Ints codes(const uint8_t* p, int j) {
    return add_high_bits(two_bits(p + 32, j), p, j, 4);
  }
  // Groups k and k + 8 share byte k % 8 of twelve, a nibble each; their two high bits are at
  // 2 (k / 4) of byte 8 + k % 4.
  HADAL_OP Ints scales(const uint8_t* p, int h) {
    const Ints at =
        pattern<[](int i) { return 2 + (i % 2 == 0 ? word_group(i) : 8 + word_group(i) % 4); }>();
    const Ints both = shuffle_bytes(load_quarter_4x(p + 94), at);
    const Ints counts = pattern<[](int i) { return i % 2 != 0 ? 0 : i % 16 < 8 ? 4 : 6; }>();
    const Ints low = h == 0 ? both : shift_right16<4>(both);
    const Ints high = shift_right_each16(h == 0 ? both : low, counts);
    return sub16(bit_and(bit_select(set16(15), low, high), set16(63)), set16(32));
  }
  HADAL_OP Floats d(const uint8_t* p, Ints offsets) { return high_halves(p + 106, offsets); }
};

struct IQ4_XS : Large {
  static constexpr int64_t bytes = 136;
  static constexpr int offset = 128, group = 32;
  static constexpr bool is_broad = true;
  HADAL_OP Ints codes(const uint8_t* p, int j) {
    return shuffle_bytes(iq4_table(), nibbles(p + 8 + 32 * j, p + 24 + 32 * j));
  }
  // Group g: nibble g of bytes 4 to 7, and two bits at 2 g of bytes 2 and 3.
  HADAL_OP Ints scales(const uint8_t* p, int j) {
    const Ints low = set32(static_cast<int32_t>(load32(p + 4) >> 8 * j));
    const Ints high = set32(static_cast<int32_t>(load32(p) >> 16 >> 4 * j));
    const Ints counts = pattern<[](int i) { return i % 4 != 0 || i < 32 ? 0 : 4; }>();
    const Ints high_counts = pattern<[](int i) { return i % 4 != 0 || i < 32 ? 0 : 2; }>();
    const Ints four = bit_and(shift_right_each32(low, counts), set32(15));
    const Ints two = bit_and(shift_right_each32(high, high_counts), set32(3));
    return sub32(bit_or(four, shift_left32<4>(two)), set32(32));
  }
  HADAL_OP Floats d(const uint8_t* p, Ints offsets) { return low_halves(p, offsets); }
};

}  // namespace hadal::kernels::HADAL_WIDE
