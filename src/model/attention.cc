#include "model/attention.h"

#include <algorithm>

#include "model/kv_cache.h"

namespace hadal::model {
namespace {

constexpr int64_t page_tokens = KvCache::page_tokens;
// Queries that go through a page together: their scores (8 KB) stay in the first-level cache.
constexpr int64_t query_block = 32;

// Turns a row of n scores into weights on the scale of the running maximum.
void merge_scores(const kernels::Table& kernels, float* scores, int64_t n, bool first, float* state,
                  float* o, int64_t o_width) {
  float page_max;
  const float page_sum = kernels.softmax_scaled(scores, n, 1.0f, &page_max);
  if (first) {
    state[0] = page_max;
    state[1] = page_sum;
    std::fill_n(o, o_width, 0.0f);
    return;
  }
  float factors[2] = {state[0], page_max};
  kernels.softmax(factors, 2);  // exp of both, less the larger
  if (factors[0] != 1.0f)
    for (int64_t c = 0; c < o_width; ++c) o[c] *= factors[0];
  if (factors[1] != 1.0f)
    for (int64_t j = 0; j < n; ++j) scores[j] *= factors[1];
  state[0] = std::max(state[0], page_max);
  state[1] = state[1] * factors[0] + page_sum * factors[1];
}

}  // namespace

void attend_page(const kernels::Table& kernels, const Queries& q, const kernels::Rows& keys,
                 const kernels::Rows& values, int64_t page_first, bool starts) {
  alignas(64) float scores[query_block * page_tokens];
  kernels::Rows seen_keys = keys;
  kernels::Rows seen_values = values;
  int64_t i = std::max<int64_t>(0, page_first - q.first_position) * q.per_position;
  while (i < q.count) {
    const int64_t position = q.first_position + i / q.per_position;
    const int64_t seen = std::min(position - page_first + 1, page_tokens);
    // Queries that see the whole page go together; on the diagonal, those of one position.
    const int64_t same = seen == page_tokens ? q.count - i : q.per_position - i % q.per_position;
    const int64_t n = std::min(query_block, same);
    seen_keys.count = seen_values.count = seen;
    kernels.attention_scores(q.q + i * q.q_stride, q.q_stride, n, &seen_keys, q.width, q.scale,
                             scores, page_tokens);
    for (int64_t j = 0; j < n; ++j)
      merge_scores(kernels, scores + j * page_tokens, seen, starts, q.state + 2 * (i + j),
                   q.o + (i + j) * q.o_stride, q.o_width);
    kernels.attention_values(scores, page_tokens, n, &seen_values, q.o_width, q.o + i * q.o_stride,
                             q.o_stride);
    i += n;
  }
}

void attend_finish(const Queries& q) {
  for (int64_t i = 0; i < q.count; ++i) {
    const float inverse = 1.0f / q.state[2 * i + 1];
    float* o = q.o + i * q.o_stride;
    for (int64_t c = 0; c < q.o_width; ++c) o[c] *= inverse;
  }
}

void attend_merge(const kernels::Table& kernels, const Pieces& p, float* out) {
  float factors[2 * pieces_max];
  float top = p.state[0];
  for (int64_t i = 1; i < p.count; ++i) {
    const float next = p.state[i * p.state_stride];
    const float larger = std::max(top, next);
    factors[2 * i - 2] = top - larger;
    factors[2 * i - 1] = next - larger;
    top = larger;
  }
  // One of each two is 0, which is the largest: exp of all.
  if (p.count > 1) kernels.softmax(factors, 2 * (p.count - 1));
  float sum = p.state[1];
  for (int64_t i = 1; i < p.count; ++i)
    sum = sum * factors[2 * i - 2] + p.state[i * p.state_stride + 1] * factors[2 * i - 1];
  kernels.merge(p.o, p.o_stride, p.count, factors, 1.0f / sum, p.width, out);
}

}  // namespace hadal::model
