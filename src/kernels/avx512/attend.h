// What attention on BF16 shares by AVX-512 and by tiles: the softmax of sixteen queries that stand
// side by side, scores [position][16].
#pragma once

#include "kernels/attend.h"
#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE {

// Sixteen queries of a block.
struct Group {
  Group(const Attend& a, int64_t from)
      : first(from),
        count(static_cast<int>(a.queries - from < attend_group ? a.queries - from : attend_group)),
        positions(seen_by(a, first + count - 1)),
        least(seen_by(a, first)) {}

  static int64_t seen_by(const Attend& a, int64_t query) {
    const int64_t seen = a.seen + query / a.per_position;
    return seen < a.positions ? seen : a.positions;
  }

  int64_t first;
  int count;
  int64_t positions;  // of the page that the last of them sees, who sees most; 0 or less: none
  int64_t least;      // that the first of them sees
};

// attend_weight.
HADAL_OP Floats weight(Floats x) {
  const Floats magic = set_floats(weight_magic);
  const Floats shifted = add_floats(x, magic);
  const Floats f = sub_floats(x, sub_floats(shifted, magic));
  Floats p = fma(set_floats(weight_c4), f, set_floats(weight_c3));
  p = fma(p, f, set_floats(weight_c2));
  p = fma(p, f, set_floats(weight_c1));
  p = fma(p, f, set_floats(1.0f));
  const Ints bits = add32(as_ints(p), shift_left32<23>(as_ints(shifted)));
  const uint32_t low = less_floats(x, set_floats(weight_lowest));
  return blend_floats(low, as_floats(bits), zero_floats());
}

// round_weight.
HADAL_OP Floats rounded(Floats w) {
  return as_floats(
      bit_and(add32(as_ints(w), set32(0x8000)), set32(static_cast<int32_t>(0xffff0000u))));
}

// Maximum and sum of sixteen queries: state[i][2] to vectors and back.
HADAL_OP void load_states(const float* state, int count, Floats& max, Floats& sum) {
  alignas(64) static const uint32_t even[16] = {0,  2,  4,  6,  8,  10, 12, 14,
                                                16, 18, 20, 22, 24, 26, 28, 30};
  const int n = 8 * count;
  const Ints low = load_first(state, n < 64 ? n : 64);
  const Ints high = load_first(state + 16, n < 64 ? 0 : n - 64);
  max = as_floats(permute32_2(load(even), low, high));
  sum = as_floats(permute32_2(add32(load(even), set32(1)), low, high));
}

HADAL_OP void store_states(float* state, int count, Floats max, Floats sum) {
  alignas(64) static const uint32_t first[16] = {0, 16, 1, 17, 2, 18, 3, 19,
                                                 4, 20, 5, 21, 6, 22, 7, 23};
  const int n = 8 * count;
  const Ints m = as_ints(max), s = as_ints(sum);
  store_first(state, n < 64 ? n : 64, permute32_2(load(first), m, s));
  store_first(state + 16, n < 64 ? 0 : n - 64, permute32_2(add32(load(first), set32(8)), m, s));
}

// Sets scores that a query does not see to -infinity; returns the queries that see none.
HADAL_OP uint32_t mask_unseen(const Attend& a, const Group& g, float* s) {
  alignas(64) float seen[16];
  for (int i = 0; i < 16; ++i)
    seen[i] = static_cast<float>(a.seen + (g.first + i) / a.per_position);
  const Floats seen_by = load_floats(seen);
  for (int64_t j = 0; j < g.positions; ++j) {
    const uint32_t sees = less_floats(set_floats(static_cast<float>(j)), seen_by);
    store_floats(s + 16 * j,
                 blend_floats(sees, set_floats(-__builtin_inff()), load_floats(s + 16 * j)));
  }
  return less_floats(seen_by, set_floats(1.0f));
}

// Scores s of a group to rounded weights, in place; the queries' states move on. factors: what
// their outputs so far are multiplied by. Returns the queries that see none of the page.
HADAL_OP uint32_t softmax(const Attend& a, const Group& g, float* s, float* factors) {
  const uint32_t blind = g.least < g.positions ? mask_unseen(a, g, s) : 0;
  const Floats lowest = set_floats(-__builtin_inff());
  Floats top[4] = {lowest, lowest, lowest, lowest};
  int64_t j = 0;
  for (; j + 4 <= g.positions; j += 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) top[i] = max_floats(load_floats(s + 16 * (j + i)), top[i]);
  }
  for (; j < g.positions; ++j) top[0] = max_floats(load_floats(s + 16 * j), top[0]);
  const Floats page_max = max_floats(max_floats(top[0], top[1]), max_floats(top[2], top[3]));

  float* state = a.state + 2 * g.first;
  Floats old_max, old_sum;
  load_states(state, g.count, old_max, old_sum);
  const Floats scale = set_floats(a.scale);
  const Floats new_max = max_floats(mul_floats(scale, page_max), old_max);
  const Floats minus_max = sub_floats(zero_floats(), new_max);
  Floats sum = zero_floats();
  for (j = 0; j < g.positions; ++j) {
    const Floats w = rounded(weight(fma(scale, load_floats(s + 16 * j), minus_max)));
    store_floats(s + 16 * j, w);
    sum = add_floats(sum, w);
  }
  const Floats factor = weight(sub_floats(old_max, new_max));
  store_floats(factors, factor);
  store_states(state, g.count, blend_floats(blind, new_max, old_max),
               blend_floats(blind, fma(old_sum, factor, sum), old_sum));
  return blind;
}

// o = o * factor + what the page adds.
HADAL_OP void add_output(const float* added, float factor, int64_t width, float* o) {
  int64_t c = 0;
  for (; c + 16 <= width; c += 16)
    store_floats(o + c, fma(load_floats(o + c), set_floats(factor), load_floats(added + c)));
  const int rest = static_cast<int>(width - c);
  if (rest > 0)
    store_floats_first(o + c, rest,
                       fma(load_floats_first(o + c, rest), set_floats(factor),
                           load_floats_first(added + c, rest)));
}

}  // namespace hadal::kernels::HADAL_WIDE
