// Inside of quant: decoders and encoders by family, for format.cc's dispatch. n is in weights,
// whole blocks.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/scalar.h"
#include "quant/blocks.h"

namespace hadal::quant {

void decode_f32(const void* in, float* out, int64_t n);
void decode_f16(const void* in, float* out, int64_t n);
void decode_bf16(const void* in, float* out, int64_t n);
void decode_fp8(const void* in, float* out, int64_t n);
void decode_i32(const void* in, float* out, int64_t n);
void encode_f32(const float* x, void* out, int64_t n);
void encode_f16(const float* x, void* out, int64_t n);
void encode_bf16(const float* x, void* out, int64_t n);

void decode_q8_0(const void* in, float* out, int64_t n);
void decode_q4_0(const void* in, float* out, int64_t n);
void decode_q4_1(const void* in, float* out, int64_t n);
void decode_q5_0(const void* in, float* out, int64_t n);
void decode_q5_1(const void* in, float* out, int64_t n);
void encode_q8_0(const float* x, void* out, int64_t n);
void encode_q4_0(const float* x, void* out, int64_t n);
void encode_q4_1(const float* x, void* out, int64_t n);
void encode_q5_0(const float* x, void* out, int64_t n);
void encode_q5_1(const float* x, void* out, int64_t n);

void decode_q2_k(const void* in, float* out, int64_t n);
void decode_q3_k(const void* in, float* out, int64_t n);
void decode_q4_k(const void* in, float* out, int64_t n);
void decode_q5_k(const void* in, float* out, int64_t n);
void decode_q6_k(const void* in, float* out, int64_t n);
void encode_q2_k(const float* x, void* out, int64_t n);
void encode_q3_k(const float* x, void* out, int64_t n);
void encode_q4_k(const float* x, void* out, int64_t n);
void encode_q5_k(const float* x, void* out, int64_t n);
void encode_q6_k(const float* x, void* out, int64_t n);

void decode_iq4_nl(const void* in, float* out, int64_t n);
void decode_iq4_xs(const void* in, float* out, int64_t n);
void decode_mxfp4(const void* in, float* out, int64_t n);
void encode_iq4_nl(const float* x, void* out, int64_t n);
void encode_iq4_xs(const float* x, void* out, int64_t n);
void encode_mxfp4(const float* x, void* out, int64_t n);

// Block i of a row that may lie at any address.
template <typename Block>
Block load_block(const void* blocks, int64_t i) {
  Block block;
  std::memcpy(&block, static_cast<const char*>(blocks) + i * static_cast<int64_t>(sizeof(Block)),
              sizeof(Block));
  return block;
}
template <typename Block>
void store_block(const Block& block, void* blocks, int64_t i) {
  std::memcpy(static_cast<char*>(blocks) + i * static_cast<int64_t>(sizeof(Block)), &block,
              sizeof(Block));
}

// F16 that stays finite: a scale over the largest F16 would turn a whole block into infinities.
inline uint16_t scale_to_f16(float x) {
  const float limit = 65504.0f;
  return float_to_f16(x > limit ? limit : x < -limit ? -limit : x);
}

// Nearest integer, ties to even, for |x| < 2^22; inlines to two additions, unlike lrintf.
inline float round_even(float x) {
  const float magic = 12582912.0f;  // 1.5 * 2^23
  return (x + magic) - magic;
}

}  // namespace hadal::quant
