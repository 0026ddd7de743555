#include <algorithm>

#include "base/scalar.h"
#include "kernels/exp.h"
#include "kernels/ref/ref.h"

namespace hadal::kernels::ref {
namespace {

float element(const Rows& rows, int64_t position, int64_t c) {
  const int64_t i = position * rows.stride + c;
  return rows.type == quant::Type::F32 ? static_cast<const float*>(rows.data)[i]
                                       : bf16_to_float(static_cast<const uint16_t*>(rows.data)[i]);
}

// Lanes 8, 4, 2, 1 apart.
float add_lanes(float* lane) {
  for (int step = 8; step >= 1; step /= 2) {
    for (int i = 0; i < step; ++i) lane[i] += lane[i + step];
  }
  return lane[0];
}

}  // namespace

float dot16(const float* a, const float* b, int64_t k) {
  float lane[16] = {};
  for (int64_t i = 0; i < k; i += 16) {
    for (int64_t l = 0; l < 16; ++l) {
      const bool inside = i + l < k;  // beyond K stand zeros
      lane[l] = __builtin_fmaf(inside ? a[i + l] : 0.0f, inside ? b[i + l] : 0.0f, lane[l]);
    }
  }
  return add_lanes(lane);
}

void attention_scores(const float* q, int64_t q_stride, int64_t queries, const Rows* keys,
                      int64_t width, float scale, float* s, int64_t s_stride) {
  for (int64_t i = 0; i < queries; ++i) {
    for (int64_t j = 0; j < keys->count; ++j) {
      float lane[16] = {};
      for (int64_t c = 0; c < width; c += 16) {
        for (int64_t l = 0; l < 16; ++l) {
          const bool inside = c + l < width;
          lane[l] = __builtin_fmaf(inside ? q[i * q_stride + c + l] : 0.0f,
                                   inside ? element(*keys, j, c + l) : 0.0f, lane[l]);
        }
      }
      s[i * s_stride + j] = scale * add_lanes(lane);
    }
  }
}

float softmax(float* x, int64_t n) {
  float max = x[0];
  for (int64_t i = 1; i < n; ++i) max = std::max(max, x[i]);
  float lane[16] = {};
  for (int64_t i = 0; i < n; ++i) {
    x[i] = exp_f32(x[i] - max);
    lane[i % 16] += x[i];
  }
  return add_lanes(lane);
}

void attention_values(const float* p, int64_t p_stride, int64_t queries, const Rows* values,
                      int64_t width, float* y, int64_t y_stride) {
  for (int64_t i = 0; i < queries; ++i) {
    for (int64_t j = 0; j < values->count; ++j) {
      for (int64_t c = 0; c < width; ++c) {
        float& out = y[i * y_stride + c];
        out = __builtin_fmaf(p[i * p_stride + j], element(*values, j, c), out);
      }
    }
  }
}

void merge(const float* o, int64_t o_stride, int64_t pieces, const float* factors, float last,
           int64_t width, float* out) {
  std::copy_n(o, width, out);
  for (int64_t i = 1; i < pieces; ++i) {
    const float* next = o + i * o_stride;
    const float before = factors[2 * i - 2], after = factors[2 * i - 1];
    for (int64_t c = 0; c < width; ++c) out[c] = out[c] * before + next[c] * after;
  }
  for (int64_t c = 0; c < width; ++c) out[c] *= last;
}

}  // namespace hadal::kernels::ref
