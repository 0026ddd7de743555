// IQ4_NL and IQ4_XS: 4-bit indices into a table of unevenly spaced values. The encoder tries scales
// around the one that maps the largest weight to the table's end, each improved by least squares
// (weights x^2), and keeps the best.
#include <algorithm>
#include <array>
#include <cmath>

#include "quant/families.h"

namespace hadal::quant {
namespace {

// Index of the table value nearest to v. The midpoints between neighbours are multiples of 1/2, so
// floor(2 v) decides; nearest[] begins at -254.
constexpr int first_half = -254, last_half = 226;

constexpr std::array<uint8_t, last_half - first_half + 1> make_nearest() {
  std::array<uint8_t, last_half - first_half + 1> nearest{};
  int index = 0;
  for (int v = first_half; v <= last_half; ++v) {
    while (index < 15 && v >= iq4_values[index] + iq4_values[index + 1]) ++index;
    nearest[static_cast<size_t>(v - first_half)] = static_cast<uint8_t>(index);
  }
  return nearest;
}
constexpr auto nearest = make_nearest();

int nearest_index(float v) {
  const float limited = std::clamp(2.0f * v, float{first_half}, float{last_half});
  return nearest[static_cast<size_t>(static_cast<int>(limited - first_half))];
}

// The scale d that makes d * table closest to 32 weights, 0 for none.
float fit_scale(const float* x) {
  float extreme = 0.0f;
  for (int j = 0; j < 32; ++j) {
    if (std::fabs(x[j]) > std::fabs(extreme)) extreme = x[j];
  }
  if (std::fabs(extreme) < 1e-30f) return 0.0f;
  float best_scale = extreme / iq4_values[0], best_gain = 0.0f;
  const auto try_inverse = [&](float id) {
    float vx = 0.0f, vv = 0.0f;  // weighted sums of value * x, value^2
    for (int j = 0; j < 32; ++j) {
      const float v = iq4_values[nearest_index(id * x[j])], w = x[j] * x[j];
      vx += w * v * x[j];
      vv += w * v * v;
    }
    // The error is (sum w x^2) - vx^2 / vv: the gain is to be largest.
    if (vv > 0.0f && vx * vx > best_gain * vv) {
      best_gain = vx * vx / vv;
      best_scale = vx / vv;
    }
  };
  for (int step = -7; step <= 7; ++step) {
    try_inverse(static_cast<float>(iq4_values[0] + step) / extreme);
    try_inverse(static_cast<float>(iq4_values[15] + step) / extreme);
  }
  try_inverse(1.0f / best_scale);
  return best_scale;
}

void pack_indices(const float* x, float scale, uint8_t* q) {
  const float id = scale != 0.0f ? 1.0f / scale : 0.0f;
  for (int j = 0; j < 16; ++j) {
    q[j] = static_cast<uint8_t>(nearest_index(id * x[j]) | nearest_index(id * x[j + 16]) << 4);
  }
}

void unpack_indices(const uint8_t* q, float scale, float* out) {
  for (int j = 0; j < 16; ++j) {
    out[j] = scale * static_cast<float>(iq4_values[q[j] & 15]);
    out[j + 16] = scale * static_cast<float>(iq4_values[q[j] >> 4]);
  }
}

}  // namespace

void decode_iq4_nl(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / 32; ++i, out += 32) {
    const auto block = load_block<BlockIQ4_NL>(in, i);
    unpack_indices(block.q, f16_to_float(block.d), out);
  }
}

void decode_iq4_xs(const void* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n / 256; ++i) {
    const auto block = load_block<BlockIQ4_XS>(in, i);
    const float d = f16_to_float(block.d);
    for (int g = 0; g < 8; ++g, out += 32) {
      unpack_indices(block.qs + 16 * g, d * static_cast<float>(iq4_xs_scale(g, &block) - 32), out);
    }
  }
}

void encode_iq4_nl(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n / 32; ++i, x += 32) {
    BlockIQ4_NL block;
    block.d = scale_to_f16(fit_scale(x));
    pack_indices(x, f16_to_float(block.d), block.q);
    store_block(block, out, i);
  }
}

void encode_iq4_xs(const float* x, void* out, int64_t n) {
  for (int64_t i = 0; i < n / 256; ++i, x += 256) {
    float scales[8], extreme = 0.0f;
    for (int g = 0; g < 8; ++g) {
      scales[g] = fit_scale(x + 32 * g);
      if (std::fabs(scales[g]) > std::fabs(extreme)) extreme = scales[g];
    }
    BlockIQ4_XS block{};
    block.d = scale_to_f16(extreme / -32.0f);
    const float d = f16_to_float(block.d);
    for (int g = 0; g < 8; ++g) {
      const float ratio = d != 0.0f ? scales[g] / d : 0.0f;
      const int scale = static_cast<int>(std::clamp(round_even(ratio), -32.0f, 31.0f));
      const unsigned code = static_cast<unsigned>(scale + 32);
      block.scales_l[g / 2] |= static_cast<uint8_t>((code & 15) << (4 * (g & 1)));
      block.scales_h |= static_cast<uint16_t>((code >> 4) << (2 * g));
      pack_indices(x + 32 * g, d * static_cast<float>(scale), block.qs + 16 * g);
    }
    store_block(block, out, i);
  }
}

}  // namespace hadal::quant
