// MXFP4 (OCP microscaling): FP4 e2m1 with one power of two per 32 weights.
#include <algorithm>
#include <cmath>

#include "quant/families.h"

namespace hadal::quant {
namespace {

// Code of the FP4 value nearest to v, which is in units of half of FP4's one.
uint8_t nearest_code(float v) {
  const float a = std::fabs(v);
  // Midpoints between 0, 1, 2, 3, 4, 6, 8, 12.
  constexpr float midpoints[] = {0.5f, 1.5f, 2.5f, 3.5f, 5.0f, 7.0f, 10.0f};
  unsigned code = 0;
  for (const float midpoint : midpoints) code += a > midpoint;
  return static_cast<uint8_t>(code | (v < 0.0f && code > 0 ? 8u : 0u));
}

}  // namespace

void decode_mxfp4(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / 32; ++i, out += 32) {
    const auto block = load_block<BlockMXFP4>(in, i);
    const float d = mxfp4_scale(block.e);
    for (int j = 0; j < 16; ++j) {
      out[j] = d * static_cast<float>(mxfp4_values[block.q[j] & 15]);
      out[j + 16] = d * static_cast<float>(mxfp4_values[block.q[j] >> 4]);
    }
  }
}

void encode_mxfp4(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n / 32; ++i, x += 32) {
    float amax = 0.0f;
    for (int j = 0; j < 32; ++j) amax = std::max(amax, std::fabs(x[j]));
    BlockMXFP4 block;
    // The largest weight falls between FP4's 4 and 8, as the specification has it.
    block.e = 0;
    if (amax > 0.0f) {
      block.e = static_cast<uint8_t>(std::clamp(std::ilogb(amax) - 2 + 127, 0, 254));
    }
    const double id = 1.0 / static_cast<double>(mxfp4_scale(block.e));
    for (int j = 0; j < 16; ++j) {
      const uint8_t low = nearest_code(static_cast<float>(x[j] * id));
      const uint8_t high = nearest_code(static_cast<float>(x[j + 16] * id));
      block.q[j] = static_cast<uint8_t>(low | high << 4);
    }
    store_block(block, out, i);
  }
}

}  // namespace hadal::quant
