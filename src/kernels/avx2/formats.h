// The integer formats as AVX2 sees them. A format F says
//   weights, bytes       of a block
//   group                codes that share a sub-block scale: 16 or 32 (blocks of 256)
//   is_signed            codes are int8; otherwise uint8, and the true code is code - offset
//   sums16               products of code and activation pairs that fit into 16 bits when added
//   has_min              the block has a second fma
//   codes(p, j)          codes [32 j, 32 j + 32) of the block at p, one a byte, in order
//   scales(p), mins(p)   the sub-block scales (int8) and minima, group 16: 16 bytes, 32: 8 bytes
//   d(p), m(p)           the block's two floats; half_m: m is minus the f16 there
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "base/scalar.h"

namespace hadal::kernels::avx2 {

#define HADAL_INLINE static inline __attribute__((always_inline))

HADAL_INLINE uint16_t load16(const uint8_t* p) {
  uint16_t v;
  __builtin_memcpy(&v, p, 2);
  return v;
}

HADAL_INLINE uint32_t load32(const uint8_t* p) {
  uint32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}

HADAL_INLINE __m256i load_bytes(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Sixteen bytes of two codes: low halves, then high halves.
HADAL_INLINE __m256i nibbles(const uint8_t* p) {
  const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m256i shift = _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4);
  const __m256i both = _mm256_srlv_epi32(_mm256_broadcastsi128_si256(v), shift);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

// Bit i of the 32 as 16 or 0 in byte i.
HADAL_INLINE __m256i fifth_bits(const uint8_t* p) {
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(static_cast<int>(load32(p))),
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ull));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(16));
}

HADAL_INLINE __m256i look_up(__m256i codes, __m128i table) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), codes);
}

HADAL_INLINE __m128i iq4_table() {
  return _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

// Formats with blocks of 32.
struct Small {
  static constexpr int64_t weights = 32;
  static constexpr bool is_signed = false, has_min = false, power_scale = false;
  static constexpr int offset = 0, sums16 = 1;
  HADAL_INLINE uint16_t d(const uint8_t* p) { return load16(p); }
  HADAL_INLINE uint16_t m(const uint8_t* p) { return load16(p + 2); }
};

struct Q8_0 : Small {
  static constexpr int64_t bytes = 34;
  static constexpr bool is_signed = true;
  HADAL_INLINE __m256i codes(const uint8_t* p, int) { return load_bytes(p + 2); }
};

struct Q4_0 : Small {
  static constexpr int64_t bytes = 18;
  static constexpr int offset = 8, sums16 = 8;
  HADAL_INLINE __m256i codes(const uint8_t* p, int) { return nibbles(p + 2); }
};

struct Q4_1 : Small {
  static constexpr int64_t bytes = 20;
  static constexpr bool has_min = true;
  static constexpr int sums16 = 8;
  HADAL_INLINE __m256i codes(const uint8_t* p, int) { return nibbles(p + 4); }
};

struct Q5_0 : Small {
  static constexpr int64_t bytes = 22;
  static constexpr int offset = 16, sums16 = 4;
  HADAL_INLINE __m256i codes(const uint8_t* p, int) {
    return _mm256_or_si256(nibbles(p + 6), fifth_bits(p + 2));
  }
};

struct Q5_1 : Small {
  static constexpr int64_t bytes = 24;
  static constexpr bool has_min = true;
  static constexpr int sums16 = 4;
  HADAL_INLINE __m256i codes(const uint8_t* p, int) {
    return _mm256_or_si256(nibbles(p + 8), fifth_bits(p + 4));
  }
};

struct IQ4_NL : Small {
  static constexpr int64_t bytes = 18;
  static constexpr bool is_signed = true;
  HADAL_INLINE __m256i codes(const uint8_t* p, int) { return look_up(nibbles(p + 2), iq4_table()); }
};

struct MXFP4 : Small {
  static constexpr int64_t bytes = 17;
  static constexpr bool power_scale = true;
  static constexpr int offset = 12, sums16 = 4;  // -12 ... 12 as 0 ... 24
  HADAL_INLINE __m256i codes(const uint8_t* p, int) {
    return look_up(nibbles(p + 1),
                   _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
  }
  HADAL_INLINE float power(const uint8_t* p) {
    const uint32_t e = p[0];
    return bits_float(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  }
};

// Formats with blocks of 256.
struct Large {
  static constexpr int64_t weights = 256;
  static constexpr bool is_signed = false, has_min = false, power_scale = false;
  static constexpr bool has_heads = false;  // begins with sixteen bytes as Q4_K's
  static constexpr int offset = 0;
};

// Q4_K and Q5_K: eight 6-bit scales and minima in twelve bytes, as two words of eight bytes.
struct SixBits {
  uint64_t scales, mins;
};

HADAL_INLINE SixBits six_bits(const uint8_t* s) {
  constexpr uint32_t six = 0x3f3f3f3fu, four = 0x0f0f0f0fu, two = 0x30303030u;
  const uint32_t a = load32(s), b = load32(s + 4), c = load32(s + 8);
  const uint64_t scales_high = (c & four) | (a >> 2 & two);
  const uint64_t mins_high = (c >> 4 & four) | (b >> 2 & two);
  return {(a & six) | scales_high << 32, (b & six) | mins_high << 32};
}

HADAL_INLINE __m128i eight_bytes(uint64_t v) {
  return _mm_cvtsi64_si128(static_cast<long long>(v));
}

struct Q4_K : Large {
  static constexpr int64_t bytes = 144;
  static constexpr bool has_min = true, has_heads = true;
  static constexpr int group = 32, sums16 = 8;
  HADAL_INLINE __m256i codes(const uint8_t* p, int j) {
    const __m256i v = load_bytes(p + 16 + j / 2 * 32);
    return _mm256_and_si256(j % 2 != 0 ? _mm256_srli_epi16(v, 4) : v, _mm256_set1_epi8(15));
  }
  HADAL_INLINE __m128i scales(const uint8_t* p) { return eight_bytes(six_bits(p + 4).scales); }
  HADAL_INLINE __m128i mins(const uint8_t* p) { return eight_bytes(six_bits(p + 4).mins); }
  HADAL_INLINE uint16_t d(const uint8_t* p) { return load16(p); }
  HADAL_INLINE uint16_t m(const uint8_t* p) { return load16(p + 2) ^ 0x8000u; }
};

struct Q5_K : Q4_K {
  static constexpr int64_t bytes = 176;
  static constexpr int sums16 = 4;
  HADAL_INLINE __m256i codes(const uint8_t* p, int j) {
    const __m256i high = load_bytes(p + 16);
    const __m256i moved = j < 4 ? _mm256_slli_epi16(high, 4 - j) : _mm256_srli_epi16(high, j - 4);
    return _mm256_or_si256(Q4_K::codes(p + 32, j), _mm256_and_si256(moved, _mm256_set1_epi8(16)));
  }
};

struct Q6_K : Large {
  static constexpr int64_t bytes = 210;
  static constexpr int group = 16, offset = 32, sums16 = 2;
  HADAL_INLINE __m256i codes(const uint8_t* p, int j) {
    const __m256i v = load_bytes(p + j / 4 * 64 + j % 2 * 32);
    const __m256i high = load_bytes(p + 128 + j / 4 * 32);
    const int quarter = j % 4;
    const __m256i moved = quarter < 2 ? _mm256_slli_epi16(high, 4 - 2 * quarter)
                                      : _mm256_srli_epi16(high, 2 * quarter - 4);
    return _mm256_or_si256(
        _mm256_and_si256(quarter < 2 ? v : _mm256_srli_epi16(v, 4), _mm256_set1_epi8(15)),
        _mm256_and_si256(moved, _mm256_set1_epi8(0x30)));
  }
  HADAL_INLINE __m128i scales(const uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 192));
  }
  HADAL_INLINE uint16_t d(const uint8_t* p) { return load16(p + 208); }
};

// Two bits of chunk j: half j / 4, shift 2 (j % 4).
HADAL_INLINE __m256i two_bits(const uint8_t* p, int j) {
  return _mm256_and_si256(_mm256_srli_epi16(load_bytes(p + j / 4 * 32), j % 4 * 2),
                          _mm256_set1_epi8(3));
}

struct Q2_K : Large {
  static constexpr int64_t bytes = 84;
  static constexpr bool has_min = true;
  static constexpr int group = 16, sums16 = 4;
  HADAL_INLINE __m256i codes(const uint8_t* p, int j) { return two_bits(p + 16, j); }
  HADAL_INLINE __m128i scales(const uint8_t* p) {
    return _mm_and_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), _mm_set1_epi8(15));
  }
  HADAL_INLINE __m128i mins(const uint8_t* p) {
    return _mm_and_si128(_mm_srli_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), 4),
                         _mm_set1_epi8(15));
  }
  HADAL_INLINE uint16_t d(const uint8_t* p) { return load16(p + 80); }
  HADAL_INLINE uint16_t m(const uint8_t* p) { return load16(p + 82) ^ 0x8000u; }
};

struct Q3_K : Large {
  static constexpr int64_t bytes = 110;
  static constexpr int group = 16, offset = 4, sums16 = 4;
  HADAL_INLINE __m256i codes(const uint8_t* p, int j) {
    const __m256i high = load_bytes(p);
    const __m256i moved = j < 2 ? _mm256_slli_epi16(high, 2 - j) : _mm256_srli_epi16(high, j - 2);
    return _mm256_or_si256(two_bits(p + 32, j), _mm256_and_si256(moved, _mm256_set1_epi8(4)));
  }
  HADAL_INLINE __m128i scales(const uint8_t* p) {
    constexpr uint32_t four = 0x0f0f0f0fu, two = 0x30303030u;
    const uint32_t a = load32(p + 96), b = load32(p + 100), c = load32(p + 104);
    const uint64_t s0 = (a & four) | (c << 4 & two), s1 = (b & four) | (c << 2 & two);
    const uint64_t s2 = (a >> 4 & four) | (c & two), s3 = (b >> 4 & four) | (c >> 2 & two);
    const __m128i s = _mm_unpacklo_epi64(eight_bytes(s0 | s1 << 32), eight_bytes(s2 | s3 << 32));
    return _mm_sub_epi8(s, _mm_set1_epi8(32));
  }
  HADAL_INLINE uint16_t d(const uint8_t* p) { return load16(p + 108); }
};

struct IQ4_XS : Large {
  static constexpr int64_t bytes = 136;
  static constexpr bool is_signed = true;
  static constexpr int group = 32, sums16 = 1;
  HADAL_INLINE __m256i codes(const uint8_t* p, int j) {
    return look_up(nibbles(p + 8 + j * 16), iq4_table());
  }
  HADAL_INLINE __m128i scales(const uint8_t* p) {
    // Nibbles of four bytes to eight bytes, and two bits of each from scales_h.
    uint64_t low = load32(p + 4), high = load16(p + 2);
    low = (low | low << 16) & 0x0000ffff0000ffffull;
    low = (low | low << 8) & 0x00ff00ff00ff00ffull;
    low = (low | low << 4) & 0x0f0f0f0f0f0f0f0full;
    high = (high | high << 24) & 0x000000ff000000ffull;
    high = (high | high << 12) & 0x000f000f000f000full;
    high = (high | high << 6) & 0x0303030303030303ull;
    return _mm_sub_epi8(eight_bytes(low | high << 4), _mm_set1_epi8(32));
  }
  HADAL_INLINE uint16_t d(const uint8_t* p) { return load16(p); }
};

}  // namespace hadal::kernels::avx2
