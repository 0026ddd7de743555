// The formats with blocks of 32 and one scale (and minimum). Encoders give the bytes that ggml's
// reference gives: the scale from the extreme values, no search.
#include <algorithm>
#include <cmath>

#include "quant/families.h"

namespace hadal::quant {
namespace {

constexpr int64_t width = 32;

struct Range {
  float min, max;
  float extreme;  // the value of greatest magnitude, with its sign; the first of equals
};

Range range_of(const float* x) {
  Range range{x[0], x[0], 0.0f};
  float magnitude = 0.0f;
  for (int64_t j = 0; j < width; ++j) {
    range.min = std::min(range.min, x[j]);
    range.max = std::max(range.max, x[j]);
    if (std::fabs(x[j]) > magnitude) {
      magnitude = std::fabs(x[j]);
      range.extreme = x[j];
    }
  }
  return range;
}

float inverse(float d) {
  // A subnormal d has an infinite inverse; the block is then zero for any use.
  const float id = d != 0.0f ? 1.0f / d : 0.0f;
  return std::isfinite(id) ? id : 0.0f;
}

// Level of x on a grid of step 1 / id, `offset` being 0.5 plus the level of zero.
int level(float x, float id, float offset, int last) {
  return std::clamp(static_cast<int>(x * id + offset), 0, last);
}

uint32_t load_bits(const uint8_t qh[4]) {
  uint32_t bits;
  std::memcpy(&bits, qh, 4);
  return bits;
}

// Nibbles of 32 levels in the order of these formats, and their fifth bits.
void pack_levels(const int* levels, uint8_t* q, uint8_t* qh) {
  uint32_t bits = 0;
  for (int j = 0; j < 16; ++j) {
    q[j] = static_cast<uint8_t>((levels[j] & 15) | ((levels[j + 16] & 15) << 4));
    bits |= static_cast<uint32_t>(levels[j] >> 4) << j;
    bits |= static_cast<uint32_t>(levels[j + 16] >> 4) << (j + 16);
  }
  if (qh) std::memcpy(qh, &bits, 4);
}

template <typename Block>
void encode_symmetric(const float* x, void* out, int64_t n, int half) {
  for (int64_t i = 0; i < n / width; ++i, x += width) {
    const float d = range_of(x).extreme / static_cast<float>(-half);
    const float id = inverse(d);
    int levels[width];
    for (int j = 0; j < width; ++j)
      levels[j] = level(x[j], id, static_cast<float>(half) + 0.5f, 2 * half - 1);
    Block block;
    block.d = scale_to_f16(d);
    if constexpr (sizeof(Block) == sizeof(BlockQ5_0)) {
      pack_levels(levels, block.q, block.qh);
    } else {
      pack_levels(levels, block.q, nullptr);
    }
    store_block(block, out, i);
  }
}

template <typename Block>
void encode_affine(const float* x, void* out, int64_t n, int last) {
  for (int64_t i = 0; i < n / width; ++i, x += width) {
    const Range range = range_of(x);
    const float d = (range.max - range.min) / static_cast<float>(last);
    const float id = inverse(d);
    int levels[width];
    for (int j = 0; j < width; ++j) levels[j] = level(x[j] - range.min, id, 0.5f, last);
    Block block;
    block.d = scale_to_f16(d);
    block.m = scale_to_f16(range.min);
    if constexpr (sizeof(Block) == sizeof(BlockQ5_1)) {
      pack_levels(levels, block.q, block.qh);
    } else {
      pack_levels(levels, block.q, nullptr);
    }
    store_block(block, out, i);
  }
}

}  // namespace

void decode_q8_0(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, out += width) {
    const auto block = load_block<BlockQ8_0>(in, i);
    const float d = f16_to_float(block.d);
    for (int j = 0; j < width; ++j) out[j] = d * static_cast<float>(block.q[j]);
  }
}

void decode_q4_0(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, out += width) {
    const auto block = load_block<BlockQ4_0>(in, i);
    const float d = f16_to_float(block.d);
    for (int j = 0; j < 16; ++j) {
      out[j] = d * static_cast<float>((block.q[j] & 15) - 8);
      out[j + 16] = d * static_cast<float>((block.q[j] >> 4) - 8);
    }
  }
}

void decode_q4_1(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, out += width) {
    const auto block = load_block<BlockQ4_1>(in, i);
    const float d = f16_to_float(block.d), m = f16_to_float(block.m);
    for (int j = 0; j < 16; ++j) {
      out[j] = d * static_cast<float>(block.q[j] & 15) + m;
      out[j + 16] = d * static_cast<float>(block.q[j] >> 4) + m;
    }
  }
}

void decode_q5_0(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, out += width) {
    const auto block = load_block<BlockQ5_0>(in, i);
    const float d = f16_to_float(block.d);
    const uint32_t bits = load_bits(block.qh);
    for (int j = 0; j < 16; ++j) {
      const int low = (block.q[j] & 15) | static_cast<int>((bits >> j & 1) << 4);
      const int high = (block.q[j] >> 4) | static_cast<int>((bits >> (j + 16) & 1) << 4);
      out[j] = d * static_cast<float>(low - 16);
      out[j + 16] = d * static_cast<float>(high - 16);
    }
  }
}

void decode_q5_1(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, out += width) {
    const auto block = load_block<BlockQ5_1>(in, i);
    const float d = f16_to_float(block.d), m = f16_to_float(block.m);
    const uint32_t bits = load_bits(block.qh);
    for (int j = 0; j < 16; ++j) {
      const int low = (block.q[j] & 15) | static_cast<int>((bits >> j & 1) << 4);
      const int high = (block.q[j] >> 4) | static_cast<int>((bits >> (j + 16) & 1) << 4);
      out[j] = d * static_cast<float>(low) + m;
      out[j + 16] = d * static_cast<float>(high) + m;
    }
  }
}

void encode_q8_0(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n / width; ++i, x += width) {
    const float d = std::fabs(range_of(x).extreme) / 127.0f;
    const float id = inverse(d);
    BlockQ8_0 block;
    block.d = scale_to_f16(d);
    for (int j = 0; j < width; ++j) {
      const float v = x[j] * id;  // |v| <= 127; ties away from zero, as ggml's roundf
      block.q[j] = static_cast<int8_t>(static_cast<int>(v + std::copysign(0.5f, v)));
    }
    store_block(block, out, i);
  }
}

void encode_q4_0(const float* x, void* out, int64_t n) {
  encode_symmetric<BlockQ4_0>(x, out, n, 8);
}

void encode_q4_1(const float* x, void* out, int64_t n) {
  encode_affine<BlockQ4_1>(x, out, n, 15);
}

void encode_q5_0(const float* x, void* out, int64_t n) {
  encode_symmetric<BlockQ5_0>(x, out, n, 16);
}

void encode_q5_1(const float* x, void* out, int64_t n) {
  encode_affine<BlockQ5_1>(x, out, n, 31);
}

}  // namespace hadal::quant
