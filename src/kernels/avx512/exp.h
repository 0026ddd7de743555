// exp_f32 (kernels/exp.h) of sixteen numbers, and sums and maxima of lanes.
#pragma once

#include "kernels/avx512/simd.h"
#include "kernels/exp.h"

namespace hadal::kernels::HADAL_WIDE {

HADAL_OP Floats negative(Floats x) {
  return as_floats(bit_xor(as_ints(x), set32(INT32_MIN)));
}

// e^r of exp_f32, and the rounded x / ln 2 in the low bits of `shifted`.
HADAL_OP Floats exp_remainder(Floats x, Floats& shifted) {
  const Floats magic = set_floats(exp_magic), one = set_floats(1.0f);
  shifted = fma(x, set_floats(exp_log2e), magic);
  const Floats n = sub_floats(shifted, magic);
  Floats r = fma(n, set_floats(-exp_ln2_high), x);
  r = fma(n, set_floats(-exp_ln2_low), r);
  Floats p = set_floats(exp_c7);
  p = fma(p, r, set_floats(exp_c6));
  p = fma(p, r, set_floats(exp_c5));
  p = fma(p, r, set_floats(exp_c4));
  p = fma(p, r, set_floats(exp_c3));
  p = fma(p, r, set_floats(exp_c2));
  p = fma(p, r, one);
  return fma(p, r, one);
}

HADAL_OP Floats exp16(Floats x) {
  Floats shifted;
  const Floats p = exp_remainder(x, shifted);
  const Ints exponent = sub32(as_ints(shifted), as_ints(set_floats(exp_magic)));
  const Ints half = shift_right_signed32<1>(exponent);
  const Ints bias = set32(127);
  const Floats a = as_floats(shift_left32<23>(add32(half, bias)));
  const Floats b = as_floats(shift_left32<23>(add32(sub32(exponent, half), bias)));
  Floats y = mul_floats(mul_floats(p, a), b);
  y = blend_floats(less_floats(x, set_floats(exp_low)), y, zero_floats());
  return blend_floats(less_floats(set_floats(exp_high), x), y, set_floats(__builtin_inff()));
}

// The same where x < 80: 2^n is one factor then.
HADAL_OP Floats exp16_below_80(Floats x) {
  Floats shifted;
  const Floats p = exp_remainder(x, shifted);
  const Floats power = as_floats(shift_left32<23>(add32(as_ints(shifted), set32(127))));
  return blend_floats(less_floats(x, set_floats(exp_low)), mul_floats(p, power), zero_floats());
}

HADAL_OP float first_float(Floats v) {
  alignas(64) float lanes[16];
  store_floats(lanes, v);
  return lanes[0];
}

// In dot16's order: 8, 4, 2, 1 apart.
HADAL_OP float sum_lanes(Floats v) {
  Ints i = as_ints(v);
  v = add_floats(v, as_floats(shuffle_quarters<0xee>(i, i)));
  i = as_ints(v);
  v = add_floats(v, as_floats(shuffle_quarters<0x55>(i, i)));
  i = as_ints(v);
  v = add_floats(v, as_floats(unpack_high64(i, i)));
  v = add_floats(v, as_floats(permute32(set32(1), as_ints(v))));
  return first_float(v);
}

HADAL_OP float max_lanes(Floats v) {
  Ints i = as_ints(v);
  v = max_floats(v, as_floats(shuffle_quarters<0xee>(i, i)));
  i = as_ints(v);
  v = max_floats(v, as_floats(shuffle_quarters<0x55>(i, i)));
  i = as_ints(v);
  v = max_floats(v, as_floats(unpack_high64(i, i)));
  v = max_floats(v, as_floats(permute32(set32(1), as_ints(v))));
  return first_float(v);
}

}  // namespace hadal::kernels::HADAL_WIDE
