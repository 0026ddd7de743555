// Where the parts of quantised activations lie. Plain code: every kernel file may include it.
//
// A row of k activations (k a multiple of the block) in q8_32 or q8_256:
//   int8  codes[k], padded to a multiple of 64 bytes: the row starts on 64 bytes, and so do these
//   float scales[k / block]
//   sums of the codes: q8_32 int32 [k / 32], of each block; q8_256 int16 [k / 16], of each sixteen.
// x = scale * code. The sums serve formats with a minimum or an offset.
#pragma once

#include "kernels/kernels.h"

namespace hadal::kernels {

constexpr int64_t q8_small_block = 32;
constexpr int64_t q8_large_block = 256;
// A block whose greatest magnitude is below this is zero: 127 / amax must not overflow.
constexpr float q8_smallest_amax = 0x1p-100f;

static inline int64_t q8_scales_offset(int64_t k) {
  return (k + 63) & ~int64_t{63};
}

static inline int64_t q8_sums_offset(Activation activation, int64_t k) {
  const int64_t block = activation == Activation::q8_32 ? q8_small_block : q8_large_block;
  return q8_scales_offset(k) + k / block * 4;
}

static inline int64_t q8_bytes(Activation activation, int64_t k) {
  const int64_t sums = activation == Activation::q8_32 ? k / 32 * 4 : k / 16 * 2;
  return (q8_sums_offset(activation, k) + sums + 63) & ~int64_t{63};
}

static inline const int8_t* q8_codes(const void* row) {
  return static_cast<const int8_t*>(row);
}

static inline const float* q8_scales(const void* row, int64_t k) {
  return reinterpret_cast<const float*>(static_cast<const char*>(row) + q8_scales_offset(k));
}

static inline const int32_t* q8_small_sums(const void* row, int64_t k) {
  return reinterpret_cast<const int32_t*>(static_cast<const char*>(row) +
                                          q8_sums_offset(Activation::q8_32, k));
}

static inline const int16_t* q8_large_sums(const void* row, int64_t k) {
  return reinterpret_cast<const int16_t*>(static_cast<const char*>(row) +
                                          q8_sums_offset(Activation::q8_256, k));
}

}  // namespace hadal::kernels
