// The one exponential of all instruction sets (docs/numerics.md), and the order of its operations.
// Plain code: every kernel file may include it.
#pragma once

#include "base/scalar.h"

namespace hadal::kernels {

// exp(x) = 2^n * e^r with n = round(x / ln 2), r = x - n ln 2 in [-ln2/2, ln2/2]; e^r by Horner's
// rule with fma. Largest error about 1 ulp; exp(0) = 1. Coefficients: Cephes, expf (Moshier).
constexpr float exp_log2e = 1.44269504088896341f;
constexpr float exp_ln2_high = 0.693359375f;  // 9 bits: n * high is exact
constexpr float exp_ln2_low = -2.12194440e-4f;
constexpr float exp_c7 = 1.9875691500e-4f;
constexpr float exp_c6 = 1.3981999507e-3f;
constexpr float exp_c5 = 8.3334519073e-3f;
constexpr float exp_c4 = 4.1665795894e-2f;
constexpr float exp_c3 = 1.6666665459e-1f;
constexpr float exp_c2 = 5.0000001201e-1f;
// Adding it rounds to an integer, which then lies in the low bits.
constexpr float exp_magic = 0x1.8p23f;
constexpr float exp_low = -87.33654f;  // below: the result would be subnormal, and is +0
constexpr float exp_high = 88.7228f;   // above: infinity

static inline float exp_f32(float x) {
  if (x < exp_low) return 0.0f;
  if (x > exp_high) return __builtin_inff();
  const float shifted = __builtin_fmaf(x, exp_log2e, exp_magic);
  const float n = shifted - exp_magic;
  float r = __builtin_fmaf(n, -exp_ln2_high, x);
  r = __builtin_fmaf(n, -exp_ln2_low, r);
  float p = exp_c7;
  p = __builtin_fmaf(p, r, exp_c6);
  p = __builtin_fmaf(p, r, exp_c5);
  p = __builtin_fmaf(p, r, exp_c4);
  p = __builtin_fmaf(p, r, exp_c3);
  p = __builtin_fmaf(p, r, exp_c2);
  p = __builtin_fmaf(p, r, 1.0f);
  p = __builtin_fmaf(p, r, 1.0f);
  // 2^n in two exact factors: n reaches 128, and one factor only 127.
  const int32_t exponent = static_cast<int32_t>(float_bits(shifted) - float_bits(exp_magic));
  const int32_t half = exponent >> 1;
  const float a = bits_float(static_cast<uint32_t>(half + 127) << 23);
  const float b = bits_float(static_cast<uint32_t>(exponent - half + 127) << 23);
  return p * a * b;
}

}  // namespace hadal::kernels
