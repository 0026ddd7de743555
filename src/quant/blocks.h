// Layouts of the block formats, byte for byte as GGUF files hold them (docs/formats.md). Plain
// declarations: kernels of any instruction set may include them. Scales named d, m, dmin are F16
// bits, little-endian. No member needs an alignment over 2.
#pragma once

#include <stdint.h>

namespace hadal::quant {

// 32 weights: y = d * q.
struct BlockQ8_0 {
  uint16_t d;
  int8_t q[32];
};

// 32 weights: y[j] = d * ((q[j] & 15) - 8), y[j + 16] = d * ((q[j] >> 4) - 8), j < 16.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t q[16];
};

// As Q4_0, but y = d * nibble + m.
struct BlockQ4_1 {
  uint16_t d, m;
  uint8_t q[16];
};

// As Q4_0 with a fifth bit: bit i of the 32-bit number qh belongs to y[i]; y = d * (n - 16).
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t q[16];
};

// As Q5_0, but y = d * n + m.
struct BlockQ5_1 {
  uint16_t d, m;
  uint8_t qh[4];
  uint8_t q[16];
};

// 32 weights on an uneven grid: y = d * iq4_values[nibble], nibbles as in Q4_0.
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t q[16];
};

// 32 weights: y = 2^(e - 128) * mxfp4_values[nibble], nibbles as in Q4_0.
struct BlockMXFP4 {
  uint8_t e;
  uint8_t q[16];
};

// 256 weights in 16 groups of 16: y = d * (scales & 15) * q - dmin * (scales >> 4). Two halves of
// 128, each with 32 bytes of qs; inside a half the shift 0, 2, 4, 6, inside a shift two groups.
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d, dmin;
};

// Groups as in Q2_K: y = d * (scale - 32) * (q - (bit ? 0 : 4)); the bit is number 4 * half +
// shift / 2 of hmask[l]. Scales: 6 bits, see q3_k_scale.
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};

// 256 weights in 8 groups of 32: y = d * scale * q - dmin * min. Group 2c holds the low nibbles of
// qs[32c..32c+31], group 2c+1 the high ones. Scales and mins: see k4_scale_min.
struct BlockQ4_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};

// As Q4_K; bit g of qh[l] adds 16 to element l of group g.
struct BlockQ5_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};

// 256 weights in 16 groups of 16: y = d * scale * (q - 32). Two halves of 128 (ql 64 bytes, qh 32
// bytes, 8 scales): element 32k + l has its low bits in nibble k / 2 of ql[(k & 1) * 32 + l] and
// its two high bits in qh[l] at 2k.
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};

// 256 weights in 8 groups of 32, each like IQ4_NL: y = d * (scale - 32) * iq4_values[nibble]; the
// scale's low 4 bits are a nibble of scales_l, its high 2 bits lie in scales_h at 2 * group.
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};

static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24 && sizeof(BlockIQ4_NL) == 18);
static_assert(sizeof(BlockMXFP4) == 17 && sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110);
static_assert(sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockIQ4_XS) == 136);

static constexpr int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// Twice the values of FP4 e2m1.
static constexpr int8_t mxfp4_values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                            0, -1, -2, -3, -4, -6, -8, -12};

// Scale and minimum (6 bits each) of group j < 8 of a Q4_K or Q5_K block.
static inline void k4_scale_min(int j, const uint8_t s[12], uint8_t* scale, uint8_t* min) {
  if (j < 4) {
    *scale = s[j] & 63;
    *min = s[j + 4] & 63;
  } else {
    *scale = static_cast<uint8_t>((s[j + 4] & 15) | ((s[j - 4] >> 6) << 4));
    *min = static_cast<uint8_t>((s[j + 4] >> 4) | ((s[j] >> 6) << 4));
  }
}

// Scale of group k < 16 of a Q3_K block, with its offset of 32.
static inline int q3_k_scale(int k, const uint8_t s[12]) {
  const int low = k < 8 ? s[k] & 15 : s[k - 8] >> 4;
  return low | (((s[8 + k % 4] >> (2 * (k / 4))) & 3) << 4);
}

// Scale of group g < 8 of an IQ4_XS block, with its offset of 32.
static inline int iq4_xs_scale(int g, const BlockIQ4_XS* b) {
  return ((b->scales_l[g / 2] >> (4 * (g & 1))) & 15) | (((b->scales_h >> (2 * g)) & 3) << 4);
}

// 2^(e - 128), for e = 0 and 1 a subnormal float.
static inline float mxfp4_scale(uint8_t e) {
  const uint32_t bits = e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23;
  float scale;
  __builtin_memcpy(&scale, &bits, 4);
  return scale;
}

}  // namespace hadal::quant
