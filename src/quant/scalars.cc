#include "quant/families.h"

namespace hadal::quant {

void decode_f32(const void* in, float* out, int64_t n) {
  std::memcpy(out, in, static_cast<size_t>(n) * sizeof(float));
}

void decode_f16(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = f16_to_float(load_block<uint16_t>(in, i));
}

void decode_bf16(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = bf16_to_float(load_block<uint16_t>(in, i));
}

void decode_fp8(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = fp8_e4m3_to_float(load_block<uint8_t>(in, i));
}

void decode_i32(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(load_block<int32_t>(in, i));
}

void encode_f32(const float* x, void* out, int64_t n) {
  std::memcpy(out, x, static_cast<size_t>(n) * sizeof(float));
}

void encode_f16(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) store_block(float_to_f16(x[i]), out, i);
}

void encode_bf16(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) store_block(float_to_bf16(x[i]), out, i);
}

}  // namespace hadal::quant
