#include <cmath>

#include "base/scalar.h"
#include "kernels/activation.h"
#include "kernels/exp.h"
#include "kernels/ref/ref.h"

namespace hadal::kernels::ref {

void quantize(Activation activation, const float* x, int64_t k, void* out) {
  const bool small = activation == Activation::q8_32;
  const int64_t block = small ? q8_small_block : q8_large_block;
  auto* codes = static_cast<int8_t*>(out);
  auto* scales = reinterpret_cast<float*>(codes + q8_scales_offset(k));
  char* sums = reinterpret_cast<char*>(codes + q8_sums_offset(activation, k));
  const int64_t sum_width = small ? 32 : 16;
  for (int64_t b = 0; b < k / block; ++b) {
    float amax = 0.0f;
    for (int64_t i = 0; i < block; ++i) amax = std::max(amax, std::fabs(x[b * block + i]));
    const bool zero = !(amax >= q8_smallest_amax);
    const float inverse = zero ? 0.0f : 127.0f / amax;
    scales[b] = zero ? 0.0f : amax / 127.0f;
    int32_t sum = 0;
    for (int64_t i = b * block; i < (b + 1) * block; ++i) {
      codes[i] = zero ? int8_t{0} : static_cast<int8_t>(std::lrintf(x[i] * inverse));
      sum += codes[i];
      if ((i + 1) % sum_width != 0) continue;
      if (small) {
        reinterpret_cast<int32_t*>(sums)[i / sum_width] = sum;
      } else {
        reinterpret_cast<int16_t*>(sums)[i / sum_width] = static_cast<int16_t>(sum);
      }
      sum = 0;
    }
  }
}

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* y) {
  const float mean = dot16(x, x, n) / static_cast<float>(n);
  const float scale = 1.0f / std::sqrt(mean + eps);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * scale * weight[i];
}

namespace {

void rotate(float& a, float& b, float cosine, float sine) {
  const float a0 = a, b0 = b;
  a = __builtin_fmaf(a0, cosine, -(b0 * sine));
  b = __builtin_fmaf(a0, sine, b0 * cosine);
}

}  // namespace

void rope_interleaved(float* x, const float* cs, int64_t n) {
  for (int64_t i = 0; i < n / 2; ++i) rotate(x[2 * i], x[2 * i + 1], cs[2 * i], cs[2 * i + 1]);
}

void rope_halves(float* x, const float* cs, int64_t n) {
  for (int64_t i = 0; i < n / 2; ++i) rotate(x[i], x[i + n / 2], cs[2 * i], cs[2 * i + 1]);
}

void silu_mul(const float* gate, const float* up, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + exp_f32(-gate[i])) * up[i];
}

void add_scaled(float a, const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = __builtin_fmaf(a, x[i], y[i]);
}

void round_bf16(float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = bf16_to_float(hadal::float_to_bf16(x[i]));
}

void float_to_bf16(const float* x, int64_t n, uint16_t* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = hadal::float_to_bf16(x[i]);
}

void q8_0_to_bf16(const void* blocks, int64_t n, uint16_t* y) {
  const auto* block = static_cast<const char*>(blocks);
  for (int64_t i = 0; i < n; i += 32, block += 34) {
    uint16_t d;
    __builtin_memcpy(&d, block, 2);
    for (int64_t j = 0; j < 32; ++j) {
      const float x = f16_to_float(d) * static_cast<float>(static_cast<int8_t>(block[2 + j]));
      y[i + j] = static_cast<uint16_t>((float_bits(x) + 0x8000u) >> 16);
    }
  }
}

}  // namespace hadal::kernels::ref
