#include <algorithm>

#include "kernels/decode.h"
#include "kernels/ref/ref.h"

namespace hadal::kernels::ref {
namespace {

// Floats of a row that are decoded at a time: whole blocks of every type, and of dot16's lanes.
constexpr int64_t part = 1024;

// dot16 of one row with n activations, a part of the row at a time: the row's lanes are kept
// between parts for `group` activations.
constexpr int64_t group = 16;

void row_times_floats(const Matmul& m, int64_t row, int64_t t0, int64_t n) {
  float lanes[group][16] = {};
  float weights[part];
  const int64_t k = m.w->cols;
  for (int64_t begin = 0; begin < k; begin += part) {
    const int64_t count = std::min(part, k - begin);
    decode_part(*m.w, row, begin, count, weights);
    const int64_t padded = (count + 15) / 16 * 16;  // beyond K stand zeros
    for (int64_t t = 0; t < n; ++t) {
      const auto* x =
          reinterpret_cast<const float*>(static_cast<const char*>(m.x) + (t0 + t) * m.x_stride) +
          begin;
      for (int64_t i = 0; i < padded; ++i) {
        float& lane = lanes[t][i % 16];
        lane = __builtin_fmaf(i < count ? weights[i] : 0.0f, i < count ? x[i] : 0.0f, lane);
      }
    }
  }
  for (int64_t t = 0; t < n; ++t) {
    float* lane = lanes[t];
    for (int step = 8; step >= 1; step /= 2) {
      for (int i = 0; i < step; ++i) lane[i] += lane[i + step];
    }
    m.y[(t0 + t) * m.y_stride + row - m.row_begin] = lane[0];
  }
}

}  // namespace

void matmul_float(const Matmul& m) {
  for (int64_t row = m.row_begin; row < m.row_end; ++row) {
    for (int64_t t = 0; t < m.n; t += group) {
      row_times_floats(m, row, t, std::min(group, m.n - t));
    }
  }
}

void matmul_quantised(const Matmul& m) {
  for (int64_t row = m.row_begin; row < m.row_end; ++row) {
    for (int64_t t = 0; t < m.n; ++t) {
      const void* x = static_cast<const char*>(m.x) + t * m.x_stride;
      m.y[t * m.y_stride + row - m.row_begin] = dot_quantised(*m.w, row, x);
    }
  }
}

int64_t packed_bytes(quant::Type /*type*/, Activation /*activation*/, int64_t /*k*/,
                     int64_t /*n*/) {
  return 0;
}

void matmul_transposed(const Matrix* w, int64_t row_begin, int64_t row_end, const float* x,
                       int64_t x_stride, int64_t n, float* y, int64_t y_stride, float* scratch) {
  for (int64_t t = 0; t < n; ++t) std::fill_n(y + t * y_stride, w->cols, 0.0f);
  for (int64_t r = row_begin; r < row_end; ++r) {
    decode_row(w, r, scratch);
    for (int64_t t = 0; t < n; ++t) {
      add_scaled(x[t * x_stride + r - row_begin], scratch, w->cols, y + t * y_stride);
    }
  }
}

void decode_row(const Matrix* w, int64_t row, float* out) {
  decode_part(*w, row, 0, w->cols, out);
}

}  // namespace hadal::kernels::ref
