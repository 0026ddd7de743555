// The tile dot: BF16 and FP8 weights times BF16 activations, as AMX's tiles add them.
#include <algorithm>

#include "base/scalar.h"
#include "kernels/flush.h"
#include "kernels/ref/ref.h"

namespace hadal::kernels::ref {
namespace {

constexpr int64_t step = 32;
constexpr int64_t fp8_tile = 128;

// Weights [begin, begin + 32) of a row, FP8 without its scales; zeros beyond the row's end.
void decode_step(const Matrix& w, int64_t row, int64_t begin, float* out) {
  const char* p = static_cast<const char*>(w.data) + row * w.row_bytes;
  const int64_t count = std::min(step, w.cols - begin);
  std::fill_n(out, step, 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    out[i] = w.type == quant::Type::BF16
                 ? bf16_to_float(reinterpret_cast<const uint16_t*>(p)[begin + i])
                 : fp8_e4m3_to_float(reinterpret_cast<const uint8_t*>(p)[begin + i]);
  }
}

// What a step of 32 adds to a sum: the activations' rows are padded with zeros.
float step_dot(const float* w, const uint16_t* x) {
  float even = 0.0f, odd = 0.0f;
  for (int64_t i = 0; i < step; i += 2) {
    even = fma_flushed(w[i], bf16_to_float(x[i]), even);
    odd = fma_flushed(w[i + 1], bf16_to_float(x[i + 1]), odd);
  }
  return add_flushed(even, odd);
}

// Row `row` with one activation. The weights' type decides: BF16 adds all steps to one sum, FP8
// those of each scale's 128 columns, whose sums then enter times the scale.
float tile_dot(const Matrix& w, int64_t row, const uint16_t* x) {
  const bool fp8 = w.type == quant::Type::FP8_E4M3;
  float sum = 0.0f, scaled = 0.0f;
  for (int64_t begin = 0; begin < w.cols; begin += step) {
    float weights[step];
    decode_step(w, row, begin, weights);
    sum = add_flushed(sum, step_dot(weights, x + begin));
    const int64_t end = begin + step;
    if (fp8 && (end % fp8_tile == 0 || end >= w.cols)) {
      const float scale = w.scales[row / fp8_tile * w.scale_stride + begin / fp8_tile];
      scaled = fma_flushed(scale, sum, scaled);
      sum = 0.0f;
    }
  }
  return fp8 ? scaled : sum;
}

}  // namespace

void matmul_bf16(const Matmul& m) {
  for (int64_t t = 0; t < m.n; ++t) {
    const auto* x =
        reinterpret_cast<const uint16_t*>(static_cast<const char*>(m.x) + t * m.x_stride);
    for (int64_t row = m.row_begin; row < m.row_end; ++row) {
      m.y[t * m.y_stride + row - m.row_begin] = tile_dot(*m.w, row, x);
    }
  }
}

}  // namespace hadal::kernels::ref
