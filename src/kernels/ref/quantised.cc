// Integer formats times int8 activations. A block is unpacked into whole numbers first: codes,
// and for each sixteen of them a scale and a minimum; what a format lacks is 1 or 0.
#include <cstring>

#include "base/error.h"
#include "base/scalar.h"
#include "kernels/activation.h"
#include "kernels/ref/ref.h"

namespace hadal::kernels::ref {
namespace {

using quant::Type;

struct Block {
  float d;        // weight = d * scale * code + m * min
  float m;        //
  int code[256];  //
  int scale[16];  // of each 16 codes
  int min[16];    // of each 16 codes
};

float half_at(const uint8_t* p) {
  return f16_to_float(static_cast<uint16_t>(p[0] | p[1] << 8));
}

constexpr int iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                1,    13,   25,  38,  53,  69,  89,  113};
constexpr int mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Sixteen bytes of two codes each: low halves first.
void unpack_nibbles(const uint8_t* p, int* code) {
  for (int i = 0; i < 16; ++i) {
    code[i] = p[i] & 15;
    code[i + 16] = p[i] >> 4;
  }
}

void add_fifth_bits(const uint8_t* p, int* code) {
  for (int i = 0; i < 32; ++i) code[i] |= (p[i / 8] >> (i % 8) & 1) << 4;
}

void subtract(int* code, int n, int offset) {
  for (int i = 0; i < n; ++i) code[i] -= offset;
}

// The 6-bit scales and minima of Q4_K and Q5_K, one pair for 32 codes.
void unpack_scales_mins(const uint8_t* s, Block& b) {
  for (int j = 0; j < 8; ++j) {
    const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    const int min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
    b.scale[2 * j] = b.scale[2 * j + 1] = scale;
    b.min[2 * j] = b.min[2 * j + 1] = min;
  }
}

void unpack_q2_k(const uint8_t* p, Block& b) {
  b.d = half_at(p + 80);
  b.m = -half_at(p + 82);
  for (int g = 0; g < 16; ++g) {  // half g / 8, shift g % 8 / 2, sixteen g % 2
    b.scale[g] = p[g] & 15;
    b.min[g] = p[g] >> 4;
    const uint8_t* q = p + 16 + g / 8 * 32 + g % 2 * 16;
    for (int i = 0; i < 16; ++i) b.code[g * 16 + i] = q[i] >> (g % 8 / 2 * 2) & 3;
  }
}

void unpack_q3_k(const uint8_t* p, Block& b) {
  b.d = half_at(p + 108);
  const uint8_t* s = p + 96;
  for (int g = 0; g < 16; ++g) {
    const int low = g < 8 ? s[g] & 15 : s[g - 8] >> 4;
    const int high = s[8 + g % 4] >> (2 * (g / 4)) & 3;
    b.scale[g] = (low | high << 4) - 32;
    const uint8_t* q = p + 32 + g / 8 * 32 + g % 2 * 16;
    const uint8_t* h = p + g % 2 * 16;
    for (int i = 0; i < 16; ++i) {
      const int bit = h[i] >> (g / 8 * 4 + g % 8 / 2) & 1;
      b.code[g * 16 + i] = (q[i] >> (g % 8 / 2 * 2) & 3) - (bit != 0 ? 0 : 4);
    }
  }
}

void unpack_q4_k(const uint8_t* p, Block& b, const uint8_t* quants) {
  b.d = half_at(p);
  b.m = -half_at(p + 2);
  unpack_scales_mins(p + 4, b);
  for (int c = 0; c < 4; ++c) {
    for (int i = 0; i < 32; ++i) {
      b.code[c * 64 + i] = quants[c * 32 + i] & 15;
      b.code[c * 64 + 32 + i] = quants[c * 32 + i] >> 4;
    }
  }
}

void unpack_q5_k(const uint8_t* p, Block& b) {
  unpack_q4_k(p, b, p + 48);
  const uint8_t* high = p + 16;
  for (int i = 0; i < 256; ++i) b.code[i] |= (high[i % 32] >> (i / 32) & 1) << 4;
}

void unpack_q6_k(const uint8_t* p, Block& b) {
  b.d = half_at(p + 208);
  for (int g = 0; g < 16; ++g) b.scale[g] = static_cast<int8_t>(p[192 + g]);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, quarter = i % 128 / 32, l = i % 32;
    const uint8_t low = p[half * 64 + quarter % 2 * 32 + l];
    const uint8_t high = p[128 + half * 32 + l];
    b.code[i] = ((quarter < 2 ? low & 15 : low >> 4) | (high >> (2 * quarter) & 3) << 4) - 32;
  }
}

void unpack_iq4_xs(const uint8_t* p, Block& b) {
  b.d = half_at(p);
  const int scales_high = p[2] | p[3] << 8;
  for (int j = 0; j < 8; ++j) {
    const int low = p[4 + j / 2] >> (4 * (j % 2)) & 15;
    b.scale[2 * j] = b.scale[2 * j + 1] = (low | (scales_high >> (2 * j) & 3) << 4) - 32;
    unpack_nibbles(p + 8 + j * 16, b.code + j * 32);
  }
  for (int& code : b.code) code = iq4_values[code];
}

// Formats with blocks of 32.
void unpack_small(Type type, const uint8_t* p, Block& b) {
  b.scale[0] = b.scale[1] = b.min[0] = b.min[1] = 1;
  b.m = 0.0f;
  if (type == Type::MXFP4) {
    const uint32_t e = p[0];
    b.d = bits_float(e < 2 ? 0x00200000u << e : (e - 1) << 23);  // 2^(e - 128)
    unpack_nibbles(p + 1, b.code);
    for (int i = 0; i < 32; ++i) b.code[i] = mxfp4_values[b.code[i]];
    return;
  }
  b.d = half_at(p);
  switch (type) {
    case Type::Q8_0:
      for (int i = 0; i < 32; ++i) b.code[i] = static_cast<int8_t>(p[2 + i]);
      break;
    case Type::Q4_0:
      unpack_nibbles(p + 2, b.code);
      subtract(b.code, 32, 8);
      break;
    case Type::Q4_1:
      b.m = half_at(p + 2);
      unpack_nibbles(p + 4, b.code);
      break;
    case Type::Q5_0:
      unpack_nibbles(p + 6, b.code);
      add_fifth_bits(p + 2, b.code);
      subtract(b.code, 32, 16);
      break;
    case Type::Q5_1:
      b.m = half_at(p + 2);
      unpack_nibbles(p + 8, b.code);
      add_fifth_bits(p + 4, b.code);
      break;
    default:  // IQ4_NL
      unpack_nibbles(p + 2, b.code);
      for (int i = 0; i < 32; ++i) b.code[i] = iq4_values[b.code[i]];
      break;
  }
}

void unpack_large(Type type, const uint8_t* p, Block& b) {
  b.m = 0.0f;
  switch (type) {
    case Type::Q2_K:
      return unpack_q2_k(p, b);
    case Type::Q3_K:
      return unpack_q3_k(p, b);
    case Type::Q4_K:
      return unpack_q4_k(p, b, p + 16);
    case Type::Q5_K:
      return unpack_q5_k(p, b);
    case Type::Q6_K:
      return unpack_q6_k(p, b);
    default:
      return unpack_iq4_xs(p, b);
  }
}

struct Shape {
  int64_t weights;
  int64_t bytes;
  bool has_min;
};

Shape shape_of(Type type) {
  switch (type) {
    case Type::Q4_0:
      return {32, 18, false};
    case Type::Q4_1:
      return {32, 20, true};
    case Type::Q5_0:
      return {32, 22, false};
    case Type::Q5_1:
      return {32, 24, true};
    case Type::Q8_0:
      return {32, 34, false};
    case Type::IQ4_NL:
      return {32, 18, false};
    case Type::MXFP4:
      return {32, 17, false};
    case Type::Q2_K:
      return {256, 84, true};
    case Type::Q3_K:
      return {256, 110, false};
    case Type::Q4_K:
      return {256, 144, true};
    case Type::Q5_K:
      return {256, 176, true};
    case Type::Q6_K:
      return {256, 210, false};
    case Type::IQ4_XS:
      return {256, 136, false};
    default:
      HADAL_CHECK(false, "type {} has no integer definition", static_cast<uint32_t>(type));
      return {};
  }
}

}  // namespace

float dot_quantised(const Matrix& w, int64_t row, const void* x) {
  const Shape shape = shape_of(w.type);
  const bool small = shape.weights == 32;
  const int64_t k = w.cols;
  const auto* p = static_cast<const uint8_t*>(w.data) + row * w.row_bytes;
  const int8_t* codes = q8_codes(x);
  const float* scales = q8_scales(x, k);
  float sum = 0.0f;
  Block block;
  for (int64_t b = 0; b < k / shape.weights; ++b, p += shape.bytes, codes += shape.weights) {
    if (small) {
      unpack_small(w.type, p, block);
    } else {
      unpack_large(w.type, p, block);
    }
    int32_t products = 0, minima = 0;
    for (int64_t g = 0; g < shape.weights / 16; ++g) {
      int32_t product = 0, code_sum = 0;
      for (int64_t i = g * 16; i < g * 16 + 16; ++i) {
        product += block.code[i] * codes[i];
        code_sum += codes[i];
      }
      products += block.scale[g] * product;
      if (shape.has_min) minima += block.min[g] * code_sum;
    }
    sum = __builtin_fmaf(block.d * scales[b], static_cast<float>(products), sum);
    if (shape.has_min) {
      sum = __builtin_fmaf(block.m * scales[b], static_cast<float>(minima), sum);
    }
  }
  return sum;
}

}  // namespace hadal::kernels::ref
