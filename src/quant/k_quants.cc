// Decoders of the K formats. Products are formed in the order (d * scale) * q - (dmin * min), which
// decides the last bit.
#include "quant/families.h"

namespace hadal::quant {
namespace {

constexpr int64_t width = 256;

}  // namespace

void decode_q2_k(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i) {
    const auto block = load_block<BlockQ2_K>(in, i);
    const float d = f16_to_float(block.d), dmin = f16_to_float(block.dmin);
    for (int group = 0; group < 16; ++group) {
      const int half = group / 8, shift = group % 8 / 2 * 2;
      const uint8_t* q = block.qs + 32 * half + 16 * (group % 2);
      const float scale = d * static_cast<float>(block.scales[group] & 15);
      const float min = dmin * static_cast<float>(block.scales[group] >> 4);
      for (int l = 0; l < 16; ++l) *out++ = scale * static_cast<float>(q[l] >> shift & 3) - min;
    }
  }
}

void decode_q3_k(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i) {
    const auto block = load_block<BlockQ3_K>(in, i);
    const float d = f16_to_float(block.d);
    for (int group = 0; group < 16; ++group) {
      const int half = group / 8, shift = group % 8 / 2 * 2;
      const uint8_t* q = block.qs + 32 * half + 16 * (group % 2);
      const uint8_t* high = block.hmask + 16 * (group % 2);
      const int bit = 4 * half + shift / 2;
      const float scale = d * static_cast<float>(q3_k_scale(group, block.scales) - 32);
      for (int l = 0; l < 16; ++l) {
        const int v = (q[l] >> shift & 3) - (high[l] >> bit & 1 ? 0 : 4);
        *out++ = scale * static_cast<float>(v);
      }
    }
  }
}

void decode_q4_k(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i) {
    const auto block = load_block<BlockQ4_K>(in, i);
    const float d = f16_to_float(block.d), dmin = f16_to_float(block.dmin);
    for (int group = 0; group < 8; ++group) {
      uint8_t s, m;
      k4_scale_min(group, block.scales, &s, &m);
      const float scale = d * static_cast<float>(s), min = dmin * static_cast<float>(m);
      const uint8_t* q = block.qs + 32 * (group / 2);
      const int shift = 4 * (group % 2);
      for (int l = 0; l < 32; ++l) *out++ = scale * static_cast<float>(q[l] >> shift & 15) - min;
    }
  }
}

void decode_q5_k(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i) {
    const auto block = load_block<BlockQ5_K>(in, i);
    const float d = f16_to_float(block.d), dmin = f16_to_float(block.dmin);
    for (int group = 0; group < 8; ++group) {
      uint8_t s, m;
      k4_scale_min(group, block.scales, &s, &m);
      const float scale = d * static_cast<float>(s), min = dmin * static_cast<float>(m);
      const uint8_t* q = block.qs + 32 * (group / 2);
      const int shift = 4 * (group % 2);
      for (int l = 0; l < 32; ++l) {
        const int v = (q[l] >> shift & 15) | (block.qh[l] >> group & 1) << 4;
        *out++ = scale * static_cast<float>(v) - min;
      }
    }
  }
}

void decode_q6_k(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i) {
    const auto block = load_block<BlockQ6_K>(in, i);
    const float d = f16_to_float(block.d);
    for (int group = 0; group < 16; ++group) {
      const int half = group / 8, k = group % 8 / 2, first = 16 * (group % 2);
      const uint8_t* low = block.ql + 64 * half + 32 * (k & 1) + first;
      const uint8_t* high = block.qh + 32 * half + first;
      const float scale = d * static_cast<float>(block.scales[group]);
      for (int l = 0; l < 16; ++l) {
        const int v = (low[l] >> (4 * (k / 2)) & 15) | (high[l] >> (2 * k) & 3) << 4;
        *out++ = scale * static_cast<float>(v - 32);
      }
    }
  }
}

}  // namespace hadal::quant
