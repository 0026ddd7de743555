#include "base/scalar.h"
#include "kernels/avx2/simd.h"

namespace hadal::kernels::avx2 {
namespace {

using quant::Type;

template <Type type>
inline __m256 load8(const Rows& rows, int64_t i) {
  if constexpr (type == Type::F32) {
    return _mm256_loadu_ps(static_cast<const float*>(rows.data) + i);
  } else {
    return load_bf16(static_cast<const uint16_t*>(rows.data) + i);
  }
}

// y[q][c .. c + 8V) of Q queries: the sums stay in registers over all positions. (Without the
// pragmas GCC 12 unrolls too late to keep the arrays off the stack: a third slower.)
template <Type type, int Q, int V>
inline void accumulate(const float* p, int64_t p_stride, const Rows& values, int64_t c, float* y,
                       int64_t y_stride) {
  __m256 sum[Q][V];
#pragma GCC unroll 8
  for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[q][v] = _mm256_loadu_ps(y + q * y_stride + c + 8 * v);
  }
  for (int64_t j = 0; j < values.count; ++j) {
    __m256 value[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) value[v] = load8<type>(values, j * values.stride + c + 8 * v);
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
      const __m256 weight = _mm256_broadcast_ss(p + q * p_stride + j);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[q][v] = _mm256_fmadd_ps(weight, value[v], sum[q][v]);
    }
  }
#pragma GCC unroll 8
  for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) _mm256_storeu_ps(y + q * y_stride + c + 8 * v, sum[q][v]);
  }
}

template <Type type, int Q, int V>
void accumulate_queries(const float* p, int64_t p_stride, const Rows& values, int64_t width,
                        float* y, int64_t y_stride) {
  int64_t c = 0;
  for (; c + 8 * V <= width; c += 8 * V) {
    accumulate<type, Q, V>(p, p_stride, values, c, y, y_stride);
  }
  for (; c + 8 <= width; c += 8) accumulate<type, Q, 1>(p, p_stride, values, c, y, y_stride);
  for (; c < width; ++c) {
    for (int q = 0; q < Q; ++q) {
      float sum = y[q * y_stride + c];
      for (int64_t j = 0; j < values.count; ++j) {
        const int64_t i = j * values.stride + c;
        const float value = type == Type::F32
                                ? static_cast<const float*>(values.data)[i]
                                : bf16_to_float(static_cast<const uint16_t*>(values.data)[i]);
        sum = __builtin_fmaf(p[q * p_stride + j], value, sum);
      }
      y[q * y_stride + c] = sum;
    }
  }
}

template <Type type>
void values_of(const float* p, int64_t p_stride, int64_t queries, const Rows& values, int64_t width,
               float* y, int64_t y_stride) {
  int64_t q = 0;
  for (; q + 4 <= queries; q += 4) {
    accumulate_queries<type, 4, 2>(p + q * p_stride, p_stride, values, width, y + q * y_stride,
                                   y_stride);
  }
  for (; q < queries; ++q) {
    accumulate_queries<type, 1, 8>(p + q * p_stride, p_stride, values, width, y + q * y_stride,
                                   y_stride);
  }
}

}  // namespace

void attention_scores(const float* q, int64_t q_stride, int64_t queries, const Rows* keys,
                      int64_t width, float scale, float* s, int64_t s_stride) {
  const int64_t bytes = keys->type == Type::F32 ? 4 : 2;
  const Matrix w = {keys->type, keys->data, keys->count, width, keys->stride * bytes, nullptr, 0};
  matmul_scaled({&w, 0, keys->count, Activation::f32, q, q_stride * 4, queries, s, s_stride},
                scale);
}

void attention_values(const float* p, int64_t p_stride, int64_t queries, const Rows* values,
                      int64_t width, float* y, int64_t y_stride) {
  if (values->type == Type::F32) {
    values_of<Type::F32>(p, p_stride, queries, *values, width, y, y_stride);
  } else {
    values_of<Type::BF16>(p, p_stride, queries, *values, width, y, y_stride);
  }
}

// The same sum as attention values: rows of w for positions, from +0. What is neither F32 nor BF16
// is decoded to floats, a few rows and 1024 columns at a time.
void matmul_transposed(const Matrix* w, int64_t row_begin, int64_t row_end, const float* x,
                       int64_t x_stride, int64_t n, float* y, int64_t y_stride, float*) {
  for (int64_t t = 0; t < n; ++t) {
    for (int64_t c = 0; c < w->cols; ++c) y[t * y_stride + c] = 0.0f;
  }
  const char* first = static_cast<const char*>(w->data) + row_begin * w->row_bytes;
  if (w->type == Type::F32 || w->type == Type::BF16) {
    const int64_t bytes = w->type == Type::F32 ? 4 : 2;
    const Rows rows = {w->type, first, row_end - row_begin, w->row_bytes / bytes};
    return attention_values(x, x_stride, n, &rows, w->cols, y, y_stride);
  }
  constexpr int64_t part = 1024, group = 8;
  alignas(64) float panel[group * part];
  for (int64_t begin = 0; begin < w->cols; begin += part) {
    const int64_t count = w->cols - begin < part ? w->cols - begin : part;
    for (int64_t r = row_begin; r < row_end; r += group) {
      const int64_t rows = row_end - r < group ? row_end - r : group;
      for (int64_t i = 0; i < rows; ++i) {
        decode_floats(*w, r + i, begin, count, panel + i * part);
      }
      const Rows decoded = {Type::F32, panel, rows, part};
      attention_values(x + r - row_begin, x_stride, n, &decoded, count, y + begin, y_stride);
    }
  }
}

}  // namespace hadal::kernels::avx2
