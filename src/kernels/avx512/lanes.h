// Sums of the lanes of several vectors at once, in dot16's order: each step halves the lanes of two
// vectors into one, by a blend and a permutation where two permutations would wait for each other.
#pragma once

#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE {

// Lane i of a or, from 16 on, of b, i = f(lane).
template <int (*f)(int)>
HADAL_OP Floats pick(Floats a, Floats b) {
  const Ints index = pattern<[](int byte) { return byte % 4 == 0 ? f(byte / 4) : 0; }>();
  return as_floats(permute32_2(index, as_ints(a), as_ints(b)));
}

// Lanes 8 apart are added: of x in the lower half, of y in the upper one.
HADAL_OP Floats add_8_apart(Floats x, Floats y) {
  return add_floats(blend_floats(0xff00, x, y),
                    as_floats(shuffle_quarters<0x4e>(as_ints(x), as_ints(y))));
}

// Lanes 4 apart: quarters of x, y, x, y.
constexpr int across_4(int lane) {
  return lane / 4 % 2 == 0 ? lane + 4 : lane + 12;
}
HADAL_OP Floats add_4_apart(Floats x, Floats y) {
  return add_floats(blend_floats(0xf0f0, x, y), pick<across_4>(x, y));
}

// Lanes 2 apart: in each quarter two of x, two of y.
constexpr int across_2(int lane) {
  return lane / 2 % 2 == 0 ? lane + 2 : lane + 14;
}
HADAL_OP Floats add_2_apart(Floats x, Floats y) {
  return add_floats(blend_floats(0xcccc, x, y), pick<across_2>(x, y));
}

// Neighbours: of x, y, x, y in each quarter.
constexpr int across_1(int lane) {
  return lane % 2 == 0 ? lane + 1 : lane + 15;
}
HADAL_OP Floats add_1_apart(Floats x, Floats y) {
  return add_floats(blend_floats(0xaaaa, x, y), pick<across_1>(x, y));
}

// Quarter q of the result has vector q of four, its lanes added 8 and 4 apart.
HADAL_OP Floats add_four(const Floats* s) {
  return add_4_apart(add_8_apart(s[0], s[2]), add_8_apart(s[1], s[3]));
}

// Result lane 4 q + 2 h + s of add_lanes belongs to row q + 4 h: the two halves s of its sum.
constexpr int half_sum(int byte, int half) {
  const int row = byte / 4;
  return byte % 4 == 0 && row < 8 ? row % 4 * 4 + row / 4 * 2 + half : 0;
}
constexpr auto first_halves = [](int byte) { return half_sum(byte, 0); };
constexpr auto second_halves = [](int byte) { return half_sum(byte, 1); };

// Lanes of eight outputs, added 8, 4, 2 and 1 apart: lane r of the result is the sum of s[r].
HADAL_OP Floats add_lanes(const Floats* s) {
  const Ints halves = as_ints(add_2_apart(add_four(s), add_four(s + 4)));
  return add_floats(as_floats(permute32(pattern<first_halves>(), halves)),
                    as_floats(permute32(pattern<second_halves>(), halves)));
}

}  // namespace hadal::kernels::HADAL_WIDE
