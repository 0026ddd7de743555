// Softmax attention of a block of queries over the pages of one sequence, one page after another.
//
// The order is what makes results independent of chunks, batches and threads: every query walks the
// pages from position 0, whose boundaries are absolute positions, and keeps the running maximum m,
// the running sum l and the running output o (Milakov and Gimelshein, arXiv 1805.02867). For a page
// with its own maximum m_b and p_j = exp(s_j - m_b), both sides are brought to the larger maximum:
//   a = exp(m - m'), b = exp(m_b - m'), l = l a + (sum p) b, o = o a + sum_j (p_j b) v_j, j in
//   order.
// The last page of a query ends at its own position. Nothing else enters.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace hadal::model {

// Queries of consecutive positions, `per_position` of them at each (heads that share keys).
struct Queries {
  const float* q;  // [count, width], q_stride floats apart
  int64_t q_stride;
  int64_t width;
  int64_t count;
  int64_t per_position;
  int64_t first_position;
  float scale;
  float* o;  // [count, o_width], o_stride floats apart
  int64_t o_stride;
  int64_t o_width;
  float* state;  // [2 * count]: maximum and sum of each
};

// Adds a page: keys and values of positions [page_first, page_first + keys.count). Pages come in
// order; the first of a walk starts the state.
void attend_page(const kernels::Table& kernels, const Queries& queries, const kernels::Rows& keys,
                 const kernels::Rows& values, int64_t page_first, bool starts);

// Divides by the sums.
void attend_finish(const Queries& queries);

// What the pieces of one query's walk have gathered, each for itself.
constexpr int64_t pieces_max = 16;
struct Pieces {
  int64_t count;       // at most pieces_max
  const float* state;  // maximum and sum of each, state_stride floats apart
  int64_t state_stride;
  const float* o;  // [count, width], o_stride floats apart
  int64_t o_stride;
  int64_t width;
};

// Brings them together in order, by the formula above, and divides by the sum: out [width].
void attend_merge(const kernels::Table& kernels, const Pieces& pieces, float* out);

}  // namespace hadal::model
