#include "kernels/attend.h"

#include <algorithm>

#include "kernels/flush.h"
#include "kernels/ref/ref.h"

namespace hadal::kernels::ref {
namespace {

// The sum of a(k) b(k) as BF16 tiles form it: in steps of 32, each two chains, whose sum is added.
template <class A, class B>
float tile_dot(int64_t n, A a, B b) {
  float sum = 0.0f;
  for (int64_t first = 0; first < n; first += attend_step) {
    float chain[2] = {0.0f, 0.0f};
    for (int64_t k = first; k < std::min(n, first + attend_step); ++k)
      chain[k % 2] = fma_flushed(a(k), b(k), chain[k % 2]);
    sum = add_flushed(sum, add_flushed(chain[0], chain[1]));
  }
  return sum;
}

// One query and the positions that it sees.
void attend_one(const Attend& a, int64_t query, int64_t seen) {
  const uint16_t* q =
      a.q + query / attend_group * attend_group * attend_padded(a.width, attend_step);
  const auto query_element = [&](int64_t k) {
    return bf16_to_float(q[(k / 2 * attend_group + query % attend_group) * 2 + k % 2]);
  };
  float s[attend_page], p[attend_page] = {};
  float max = -__builtin_inff();
  for (int64_t j = 0; j < seen; ++j) {
    s[j] = tile_dot(a.width, query_element,
                    [&](int64_t k) { return bf16_to_float(a.keys[j * a.key_stride + k]); });
    max = std::max(max, s[j]);
  }
  float* state = a.state + 2 * query;
  const float new_max = std::max(state[0], a.scale * max);
  float sum = 0.0f;
  for (int64_t j = 0; j < seen; ++j) {
    p[j] = round_weight(attend_weight(__builtin_fmaf(a.scale, s[j], -new_max)));
    sum += p[j];
  }
  const float factor = attend_weight(state[0] - new_max);
  state[0] = new_max;
  state[1] = __builtin_fmaf(state[1], factor, sum);
  for (int64_t c = 0; c < a.value_width; ++c) {
    float& o = a.o[query * a.o_stride + c];
    const float of_page = tile_dot(
        seen, [&](int64_t j) { return p[j]; },
        [&](int64_t j) { return bf16_to_float(a.values[j * a.value_stride + c]); });
    o = __builtin_fmaf(o, factor, of_page);
  }
}

}  // namespace

void pack_queries(const float* q, int64_t stride, int64_t queries, int64_t width, uint16_t* out) {
  const int64_t padded = attend_padded(width, attend_step);
  std::fill_n(out, packed_queries_size(queries, width), uint16_t{0});
  for (int64_t i = 0; i < queries; ++i) {
    uint16_t* group = out + i / attend_group * attend_group * padded;
    for (int64_t k = 0; k < width; ++k)
      group[(k / 2 * attend_group + i % attend_group) * 2 + k % 2] =
          hadal::float_to_bf16(q[i * stride + k]);
  }
}

void attend(const Attend& a) {
  for (int64_t i = 0; i < a.queries; ++i) {
    const int64_t seen = std::min(a.positions, a.seen + i / a.per_position);
    if (seen > 0) attend_one(a, i, seen);
  }
}

void transposed_bf16(const TransposedBf16& m) {
  for (int64_t t = 0; t < m.n; ++t) {
    for (int64_t c = 0; c < m.cols; ++c) {
      m.y[t * m.y_stride + c] = tile_dot(
          m.rows, [&](int64_t r) { return bf16_to_float(m.x[t * m.x_stride + r]); },
          [&](int64_t r) { return bf16_to_float(m.w[r * m.w_stride + c]); });
    }
  }
}

}  // namespace hadal::kernels::ref
