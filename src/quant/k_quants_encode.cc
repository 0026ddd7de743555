// Encoders of the K formats: each group's scale (and minimum) by search, these as small integers
// times the block's F16 scales, then the levels for what the file will really hold.
#include <algorithm>
#include <cmath>

#include "quant/families.h"
#include "quant/search.h"

namespace hadal::quant {
namespace {

constexpr int64_t width = 256;

int level(float x, float inverse, int low, int high) {
  // Limited first: a weight far outside its group's range must not leave round_even's range.
  const float v = std::clamp(x * inverse, static_cast<float>(low), static_cast<float>(high));
  return static_cast<int>(round_even(v));
}

float inverse_of(float x) {
  return x != 0.0f ? 1.0f / x : 0.0f;
}

// The scales of a block as `count` integers 0..top times an F16.
struct Shared {
  uint16_t d;
  float value;  // d as a float
  uint8_t codes[16];
};

Shared share(const float* scales, int count, int top) {
  Shared shared{};
  const float largest = *std::max_element(scales, scales + count);
  shared.d = scale_to_f16(largest / static_cast<float>(top));
  shared.value = f16_to_float(shared.d);
  const float inverse = inverse_of(shared.value);
  for (int g = 0; g < count; ++g) {
    shared.codes[g] = static_cast<uint8_t>(level(scales[g], inverse, 0, top));
  }
  return shared;
}

// The same for scales of either sign, -top .. top - 1.
struct SharedSigned {
  uint16_t d;
  float value;
  int8_t codes[16];
};

SharedSigned share_signed(const float* scales, int count, int top) {
  SharedSigned shared{};
  float extreme = 0.0f;
  for (int g = 0; g < count; ++g) {
    if (std::fabs(scales[g]) > std::fabs(extreme)) extreme = scales[g];
  }
  shared.d = scale_to_f16(extreme / static_cast<float>(-top));
  shared.value = f16_to_float(shared.d);
  const float inverse = inverse_of(shared.value);
  for (int g = 0; g < count; ++g) {
    shared.codes[g] = static_cast<int8_t>(level(scales[g], inverse, -top, top - 1));
  }
  return shared;
}

struct AffineBlock {
  Shared scales, mins;
  uint8_t levels[256];
};

// A block with levels 0..last in groups of `size`, scales and minima in 0..top.
AffineBlock fit_affine_block(const float* x, int size, int last, int top) {
  AffineBlock block;
  const int count = static_cast<int>(width) / size;
  float scales[16], mins[16];
  for (int g = 0; g < count; ++g) {
    const float* group = x + g * size;
    float squares = 0.0f, importance[32];
    for (int j = 0; j < size; ++j) squares += group[j] * group[j];
    const float mean = std::sqrt(squares / static_cast<float>(size));
    for (int j = 0; j < size; ++j) importance[j] = mean + std::fabs(group[j]);
    const AffineFit fit = fit_affine(group, importance, size, last);
    scales[g] = fit.scale;
    mins[g] = fit.min;
  }
  block.scales = share(scales, count, top);
  block.mins = share(mins, count, top);
  for (int j = 0; j < width; ++j) {
    const int g = j / size;
    const float scale = block.scales.value * static_cast<float>(block.scales.codes[g]);
    const float min = block.mins.value * static_cast<float>(block.mins.codes[g]);
    block.levels[j] = static_cast<uint8_t>(level(x[j] + min, inverse_of(scale), 0, last));
  }
  return block;
}

struct SymmetricBlock {
  SharedSigned scales;
  int8_t levels[256];
};

// A block with levels -half .. half - 1 in 16 groups, scales in -top .. top - 1.
SymmetricBlock fit_symmetric_block(const float* x, int half, int top) {
  SymmetricBlock block;
  float scales[16];
  for (int g = 0; g < 16; ++g) scales[g] = fit_symmetric(x + 16 * g, 16, half);
  block.scales = share_signed(scales, 16, top);
  for (int j = 0; j < width; ++j) {
    const float scale = block.scales.value * static_cast<float>(block.scales.codes[j / 16]);
    block.levels[j] = static_cast<int8_t>(level(x[j], inverse_of(scale), -half, half - 1));
  }
  return block;
}

void pack_k4_scales(const uint8_t* scales, const uint8_t* mins, uint8_t out[12]) {
  for (int j = 0; j < 4; ++j) {
    out[j] = static_cast<uint8_t>(scales[j] | (scales[j + 4] >> 4) << 6);
    out[j + 4] = static_cast<uint8_t>(mins[j] | (mins[j + 4] >> 4) << 6);
    out[j + 8] = static_cast<uint8_t>((scales[j + 4] & 15) | (mins[j + 4] & 15) << 4);
  }
}

// Low nibbles of the levels: group 2c in the low half of 32 bytes, group 2c + 1 in the high half.
void pack_k4_nibbles(const uint8_t* levels, uint8_t qs[128]) {
  for (int c = 0; c < 4; ++c) {
    for (int l = 0; l < 32; ++l) {
      qs[32 * c + l] =
          static_cast<uint8_t>((levels[64 * c + l] & 15) | (levels[64 * c + 32 + l] & 15) << 4);
    }
  }
}

// Low two bits of the levels in the order of Q2_K and Q3_K.
void pack_k2_pairs(const uint8_t* levels, uint8_t qs[64]) {
  for (int half = 0; half < 2; ++half) {
    for (int l = 0; l < 32; ++l) {
      const uint8_t* v = levels + 128 * half + l;
      qs[32 * half + l] =
          static_cast<uint8_t>((v[0] & 3) | (v[32] & 3) << 2 | (v[64] & 3) << 4 | (v[96] & 3) << 6);
    }
  }
}

}  // namespace

void encode_q2_k(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, x += width) {
    const AffineBlock fit = fit_affine_block(x, 16, 3, 15);
    BlockQ2_K block;
    block.d = fit.scales.d;
    block.dmin = fit.mins.d;
    for (int g = 0; g < 16; ++g) {
      block.scales[g] = static_cast<uint8_t>(fit.scales.codes[g] | fit.mins.codes[g] << 4);
    }
    pack_k2_pairs(fit.levels, block.qs);
    store_block(block, out, i);
  }
}

void encode_q3_k(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, x += width) {
    const SymmetricBlock fit = fit_symmetric_block(x, 4, 32);
    BlockQ3_K block{};
    block.d = fit.scales.d;
    for (int k = 0; k < 16; ++k) {
      const unsigned code = static_cast<unsigned>(fit.scales.codes[k] + 32);
      block.scales[k % 8] |= static_cast<uint8_t>((code & 15) << (k < 8 ? 0 : 4));
      block.scales[8 + k % 4] |= static_cast<uint8_t>((code >> 4) << (2 * (k / 4)));
    }
    uint8_t low[256];
    for (int j = 0; j < width; ++j) {
      const int v = fit.levels[j] + 4;  // 0..7, the third bit in hmask
      low[j] = static_cast<uint8_t>(v & 3);
      const int bit = 4 * (j / 128) + j % 128 / 32;
      if (v & 4) block.hmask[j % 32] |= static_cast<uint8_t>(1u << bit);
    }
    pack_k2_pairs(low, block.qs);
    store_block(block, out, i);
  }
}

void encode_q4_k(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, x += width) {
    const AffineBlock fit = fit_affine_block(x, 32, 15, 63);
    BlockQ4_K block;
    block.d = fit.scales.d;
    block.dmin = fit.mins.d;
    pack_k4_scales(fit.scales.codes, fit.mins.codes, block.scales);
    pack_k4_nibbles(fit.levels, block.qs);
    store_block(block, out, i);
  }
}

void encode_q5_k(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, x += width) {
    const AffineBlock fit = fit_affine_block(x, 32, 31, 63);
    BlockQ5_K block{};
    block.d = fit.scales.d;
    block.dmin = fit.mins.d;
    pack_k4_scales(fit.scales.codes, fit.mins.codes, block.scales);
    pack_k4_nibbles(fit.levels, block.qs);
    for (int j = 0; j < width; ++j) {
      block.qh[j % 32] |= static_cast<uint8_t>((fit.levels[j] >> 4) << (j / 32));
    }
    store_block(block, out, i);
  }
}

void encode_q6_k(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, x += width) {
    const SymmetricBlock fit = fit_symmetric_block(x, 32, 128);
    BlockQ6_K block{};
    block.d = fit.scales.d;
    std::memcpy(block.scales, fit.scales.codes, 16);
    for (int j = 0; j < width; ++j) {
      const unsigned v = static_cast<unsigned>(fit.levels[j] + 32);
      const int half = j / 128, k = j % 128 / 32, l = j % 32;
      block.ql[64 * half + 32 * (k & 1) + l] |= static_cast<uint8_t>((v & 15) << (4 * (k / 2)));
      block.qh[32 * half + l] |= static_cast<uint8_t>((v >> 4) << (2 * k));
    }
    store_block(block, out, i);
  }
}

}  // namespace hadal::quant
