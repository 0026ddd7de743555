// Attention on BF16: sizes, and the weight of a score. Plain code: every kernel file may include
// it.
#pragma once

#include "base/scalar.h"
#include "kernels/kernels.h"

namespace hadal::kernels {

constexpr int64_t attend_group = 16;  // queries that are packed together
constexpr int64_t attend_page = 64;   // positions
constexpr int64_t attend_step = 32;   // elements that are summed up before a sum takes them

static inline int64_t attend_padded(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Elements of packed queries.
static inline int64_t packed_queries_size(int64_t queries, int64_t width) {
  return attend_padded(queries, attend_group) * attend_padded(width, attend_step);
}

static inline int64_t attend_scratch_bytes(int64_t width, int64_t value_width) {
  const int64_t floats = attend_padded(width, attend_step) + 2 * attend_padded(value_width, 16);
  return attend_page * floats * 4;
}

static inline int64_t transposed_scratch_bytes(int64_t n, int64_t rows, int64_t cols) {
  return attend_padded(rows, attend_step) * (attend_padded(cols, 16) + attend_padded(n, 16)) * 4;
}

// The weight 2^x of a score x above the running maximum: x = n + f, 2^f by a polynomial (largest
// relative error 3e-6; weights are rounded to 8 bits), 2^0 = 1. Weights below 2^-125 are zero, so
// none is subnormal. x is at most a little above 0 (rounding).
constexpr float weight_lowest = -125.0f;
// Adding it rounds to a whole number, which then lies in the low bits.
constexpr float weight_magic = 0x1.8p23f;
constexpr float weight_c4 = 0.009582852944731712f;
constexpr float weight_c3 = 0.055906426161527634f;
constexpr float weight_c2 = 0.24024099111557007f;
constexpr float weight_c1 = 0.6931241750717163f;

static inline float attend_weight(float x) {
  if (x < weight_lowest) return 0.0f;
  const float shifted = x + weight_magic;
  const float f = x - (shifted - weight_magic);
  float p = __builtin_fmaf(weight_c4, f, weight_c3);
  p = __builtin_fmaf(p, f, weight_c2);
  p = __builtin_fmaf(p, f, weight_c1);
  p = __builtin_fmaf(p, f, 1.0f);
  return bits_float(float_bits(p) + (float_bits(shifted) << 23));
}

// A weight rounded to BF16, halves up.
static inline float round_weight(float w) {
  return bits_float((float_bits(w) + 0x8000u) & 0xffff0000u);
}

}  // namespace hadal::kernels
