// axpy sums: attention values and products with a transposed matrix. Sums stay in registers over
// all positions.
#include "kernels/avx512/float_entries.h"
#include "kernels/avx512/simd.h"
#include "kernels/tables.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

using quant::Type;

template <Type type>
HADAL_OP Floats load_values(const void* data, int64_t i, int lanes) {
  if constexpr (type == Type::F32) {
    const float* p = static_cast<const float*>(data) + i;
    return lanes == 16 ? load_floats(p) : load_floats_first(p, lanes);
  } else {
    const uint16_t* p = static_cast<const uint16_t*>(data) + i;
    if (lanes == 16) return load_bf16(p);
    alignas(64) uint16_t rest[32];
    store(rest, load_first(p, 2 * lanes));
    return load_bf16(rest);
  }
}

struct Weights {
  const float* p;
  int64_t stride;
};

// y[q][c ... c + 16 V), the last vector of `lanes` columns, of Q queries.
template <Type type, int Q, int V>
HADAL_OP void accumulate(Weights weights, const Rows& values, int64_t c, int lanes, float* y,
                         int64_t y_stride) {
  Floats sum[Q][V];
#pragma GCC unroll 8
  for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      const float* from = y + q * y_stride + c + 16 * v;
      sum[q][v] = v + 1 < V || lanes == 16 ? load_floats(from) : load_floats_first(from, lanes);
    }
  }
  const int64_t row_bytes = values.stride * (type == Type::F32 ? 4 : 2);
  const auto* follow = c == 0 ? static_cast<const char*>(values.follow) : nullptr;
  for (int64_t j = 0; j < values.count; ++j) {
    if (follow != nullptr && j % 2 != 0)
      for (int64_t i = 0; i < row_bytes; i += 64) prefetch_near(follow + j * row_bytes + i);
    Floats value[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v)
      value[v] =
          load_values<type>(values.data, j * values.stride + c + 16 * v, v + 1 < V ? 16 : lanes);
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
      const Floats weight = set_floats(weights.p[q * weights.stride + j]);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[q][v] = fma(weight, value[v], sum[q][v]);
    }
  }
#pragma GCC unroll 8
  for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v)
      store_floats_first(y + q * y_stride + c + 16 * v, v + 1 < V ? 16 : lanes, sum[q][v]);
  }
}

template <Type type, int Q, int V>
void all_columns(Weights weights, const Rows& values, int64_t width, float* y, int64_t y_stride) {
  int64_t c = 0;
  for (; c + 16 * V <= width; c += 16 * V)
    accumulate<type, Q, V>(weights, values, c, 16, y, y_stride);
  if constexpr (V > 2)
    for (; c + 32 <= width; c += 32) accumulate<type, Q, 2>(weights, values, c, 16, y, y_stride);
  for (; c + 16 <= width; c += 16) accumulate<type, Q, 1>(weights, values, c, 16, y, y_stride);
  if (c < width)
    accumulate<type, Q, 1>(weights, values, c, static_cast<int>(width - c), y, y_stride);
}

template <Type type>
void all_queries(const float* p, int64_t p_stride, int64_t queries, const Rows& values,
                 int64_t width, float* y, int64_t y_stride) {
  int64_t q = 0;
  for (; q + 4 <= queries; q += 4)
    all_columns<type, 4, 4>({p + q * p_stride, p_stride}, values, width, y + q * y_stride,
                            y_stride);
  for (; q < queries; ++q)
    all_columns<type, 1, 8>({p + q * p_stride, p_stride}, values, width, y + q * y_stride,
                            y_stride);
}

}  // namespace

void attention_values(const float* p, int64_t p_stride, int64_t queries, const Rows* values,
                      int64_t width, float* y, int64_t y_stride) {
  if (values->type == Type::F32)
    all_queries<Type::F32>(p, p_stride, queries, *values, width, y, y_stride);
  else
    all_queries<Type::BF16>(p, p_stride, queries, *values, width, y, y_stride);
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
      for (int64_t i = 0; i < rows; ++i) decode_floats(*w, r + i, begin, count, panel + i * part);
      const Rows decoded = {Type::F32, panel, rows, part};
      attention_values(x + r - row_begin, x_stride, n, &decoded, count, y + begin, y_stride);
    }
  }
}

}  // namespace hadal::kernels::HADAL_WIDE
