// Few activations: weights are read once from memory, sixteen rows at a time, and unpacked once for
// up to four activations. 64 codes times activations are sixteen sums of four products; rows are
// taken in fours, whose sums a tree of shuffles brings into one vector, a lane in each quarter of
// 16 bytes to a row. These rest until all sixteen rows have gone through a part of their length, so
// that memory is read in few lines at a time; then the tree is finished and floats enter, sixteen
// rows at once, block after block.
#pragma once

#include "kernels/activation.h"
#include "kernels/avx512/formats.h"

namespace hadal::kernels::HADAL_WIDE {

constexpr int rows_at_once = 16;
// Bytes that prefetches run in front, in each of four streams. (Measured: 1 to 16 KB differ by 3%;
// one stream instead of four is 15% slower, no prefetch 30%.)
constexpr int64_t stream_ahead = 2048;

// Activations that go through together.
template <int N>
struct Tokens {
  const int8_t* codes[N];
  const float* scales[N];
  const int32_t* small_sums[N];
  const int16_t* large_sums[N];
};

struct RowGroup {
  const uint8_t* row[rows_at_once];
  const uint8_t* first;
  Ints offsets;  // of the rows from `first`
};

// Lanes 0 2 of a, 0 2 of b, in each quarter, plus lanes 1 3.
HADAL_OP Ints add_pairs(Ints a, Ints b) {
  return add32(unpack_low32(a, b), unpack_high32(a, b));
}

// Four rows' sums: lane r of each quarter is the sum of v[r]'s quarter.
HADAL_OP Ints add_in_quarters(const Ints* v) {
  const Ints a = add_pairs(v[0], v[1]), b = add_pairs(v[2], v[3]);
  return add32(unpack_low64(a, b), unpack_high64(a, b));
}

// Quarters 0 + 1 and 2 + 3 of a, then of b.
HADAL_OP Ints add_quarters(Ints a, Ints b) {
  return add32(shuffle_quarters<0x88>(a, b), shuffle_quarters<0xdd>(a, b));
}

// What the sums of four products start from, so that codes - offset is what is summed.
template <class F>
HADAL_OP Ints first_sums(Ints x) {
  if constexpr (F::offset == 0) return zero();
  return sub32(zero(), dot_bytes(zero(), set8(F::offset), x));
}

// Steps of 64 codes (two small blocks) or 256 (a large one) that a part has.
template <class F, int N>
struct Part {
  static constexpr bool is_large = F::weights == 256;
  static constexpr int vectors = is_large ? 4 : 1;  // of 64 codes a step
  static constexpr int steps_max = is_large ? 8 : N <= 2 ? 32 : 16;
  Ints sums[steps_max][rows_at_once / 4][N];
  Ints first[F::offset == 0 ? 1 : steps_max][N][vectors];
};

// ---- formats with blocks of 256

template <class F, int N>
HADAL_OP void large_products(const uint8_t* const* p, const int8_t* const* x,
                             const Ints (*first)[Part<F, N>::vectors], Ints* out) {
  Ints sum[N][4];
  for (int t = 0; t < N; ++t)
    for (int r = 0; r < 4; ++r) sum[t][r] = zero();
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const Ints a = F::codes(p[r], 2 * h), b = F::codes(p[r], 2 * h + 1);
      const Ints scales = F::scales(p[r], F::is_broad ? 2 * h : h);
      for (int t = 0; t < N; ++t) {
        const Ints xa = load(x[t] + 128 * h), xb = load(x[t] + 128 * h + 64);
        Ints fa = zero(), fb = fa;
        if constexpr (F::offset != 0) {
          fa = first[t][2 * h];
          fb = first[t][2 * h + 1];
        }
        const Ints pa = dot_bytes(fa, a, xa), pb = dot_bytes(fb, b, xb);
        if constexpr (F::is_broad) {
          sum[t][r] =
              add32(add32(sum[t][r], mul32(pa, scales)), mul32(pb, F::scales(p[r], 2 * h + 1)));
        } else {
          sum[t][r] = dot_words(sum[t][r], pack32(pa, pb), scales);
        }
      }
    }
  }
  for (int t = 0; t < N; ++t) {
    if constexpr (F::scales_high)
      for (int r = 0; r < 4; ++r) sum[t][r] = shift_right_signed32<8>(sum[t][r]);
    out[t] = add_in_quarters(sum[t]);
  }
}

// Sums of the activations that meet minima, in 16-bit pairs: of minima 0 2, 1 3, 4 6, 5 7 ...
template <class F>
HADAL_OP Ints pairs_of_sums(const int16_t* sums) {
  const Ints s = load_half_twice(sums);
  if constexpr (F::mins_count == 16) {
    return permute16(pattern<[](int i) {
                       const int word = i / 2 % 16, quad = word / 4 * 4;
                       return i % 2 != 0 ? 0 : quad + word % 4 / 2 + word % 2 * 2;
                     }>(),
                     s);
  } else {
    return permute16(pattern<[](int i) {
                       const int word = i / 2 % 8, quad = word / 4 * 4;
                       return i % 2 != 0 ? 0 : 2 * (quad + word % 4 / 2 + word % 2 * 2);
                     }>(),
                     madd16(s, set16(1)));
  }
}

template <class F, int N>
HADAL_OP void fold_large(const RowGroup& group, int64_t block, const Tokens<N>& x,
                         const Ints (*sums)[N], Floats* out) {
  const uint8_t* p = group.first + block * F::bytes;
  const Floats d = F::d(p, group.offsets);
  Floats m;
  Ints mins[F::has_min ? F::mins_count / 2 : 1];  // 16-bit: of lanes of bytes 0 2, then 1 3
  if constexpr (F::has_min) {
    m = F::m(p, group.offsets);
    Ints bytes[F::mins_count / 4];
    F::minima(p, group.offsets, bytes);
    for (int i = 0; i < F::mins_count / 4; ++i) {
      mins[2 * i] = bit_and(bytes[i], set16(255));
      mins[2 * i + 1] = shift_right16<8>(bytes[i]);
    }
  }
  for (int t = 0; t < N; ++t) {
    const Ints total =
        add_quarters(add_quarters(sums[0][t], sums[1][t]), add_quarters(sums[2][t], sums[3][t]));
    const Floats dx = set_floats(x.scales[t][block]);
    out[t] = fma(mul_floats(d, dx), to_floats(total), out[t]);
    if constexpr (F::has_min) {
      int32_t pairs[16];
      store(pairs, pairs_of_sums<F>(x.large_sums[t] + 16 * block));
      Ints minima = zero();
      for (int i = 0; i < F::mins_count / 2; ++i)
        minima = dot_words(minima, mins[i], set32(pairs[i]));
      out[t] = fma(mul_floats(m, dx), to_floats(minima), out[t]);
    }
  }
}

// ---- formats with blocks of 32

template <class F, int N>
HADAL_OP void small_products(const uint8_t* const* p, int64_t second, const int8_t* const* x,
                             const Ints (*first)[1], Ints* out) {
  Ints sum[N][4];
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    const Ints codes = F::codes(p[r], p[r] + second);
    for (int t = 0; t < N; ++t)
      sum[t][r] = dot_bytes(F::offset == 0 ? zero() : first[t][0], codes, load(x[t]));
  }
  for (int t = 0; t < N; ++t) out[t] = add_in_quarters(sum[t]);
}

template <class F, int N>
HADAL_OP void fold_small(const RowGroup& group, int64_t block, bool both, const Tokens<N>& x,
                         const Ints (*sums)[N], Floats* out) {
  for (int i = 0; i < (both ? 2 : 1); ++i) {
    const uint8_t* p = group.first + (block + i) * F::bytes;
    const Floats d = F::d(p, group.offsets);
    for (int t = 0; t < N; ++t) {
      const Ints a = add_quarters(sums[0][t], sums[1][t]), b = add_quarters(sums[2][t], sums[3][t]);
      const Ints total = i == 0 ? shuffle_quarters<0x88>(a, b) : shuffle_quarters<0xdd>(a, b);
      const Floats dx = set_floats(x.scales[t][block + i]);
      out[t] = fma(mul_floats(d, dx), to_floats(total), out[t]);
      if constexpr (F::has_min) {
        const auto sum = static_cast<float>(x.small_sums[t][block + i]);
        out[t] = fma(mul_floats(F::m(p, group.offsets), dx), set_floats(sum), out[t]);
      }
    }
  }
}

// ---- any format

// Steps [begin, begin + steps) of the rows' length.
template <class F, int N>
static inline void stream_part(const RowGroup& group, int64_t begin, int steps, int64_t blocks,
                               const Tokens<N>& x, Part<F, N>& part, Floats* out) {
  using P = Part<F, N>;
  constexpr int64_t step_blocks = P::is_large ? 1 : 2, step_codes = 64 * P::vectors;
  const int8_t* codes[N];
  for (int s = 0; s < steps; ++s)
    for (int t = 0; t < N; ++t)
      if constexpr (F::offset != 0)
        for (int v = 0; v < P::vectors; ++v)
          part.first[s][t][v] = first_sums<F>(load(x.codes[t] + (begin + s) * step_codes + 64 * v));
  for (int quad = 0; quad < rows_at_once / 4; ++quad) {
    for (int s = 0; s < steps; ++s) {
      const int64_t block = (begin + s) * step_blocks;
      const uint8_t* p[4];
      for (int r = 0; r < 4; ++r) {
        p[r] = group.row[4 * quad + r] + block * F::bytes;
        for (int64_t i = 0; i < step_blocks * F::bytes; i += 64)
          prefetch_far(p[r] + stream_ahead + i);
      }
      for (int t = 0; t < N; ++t) codes[t] = x.codes[t] + (begin + s) * step_codes;
      if constexpr (P::is_large)
        large_products<F, N>(p, codes, part.first[F::offset == 0 ? 0 : s], part.sums[s][quad]);
      else
        small_products<F, N>(p, block + 1 < blocks ? F::bytes : 0, codes,
                             part.first[F::offset == 0 ? 0 : s], part.sums[s][quad]);
    }
  }
  for (int s = 0; s < steps; ++s) {
    const int64_t block = (begin + s) * step_blocks;
    if constexpr (P::is_large)
      fold_large<F, N>(group, block, x, part.sums[s], out);
    else
      fold_small<F, N>(group, block, block + 1 < blocks, x, part.sums[s], out);
  }
}

template <class F, int N>
static inline void stream_tokens(const Matmul& m, int64_t first_token) {
  using P = Part<F, N>;
  const int64_t k = m.w->cols, blocks = k / F::weights;
  const int64_t steps = P::is_large ? blocks : (blocks + 1) / 2;
  Tokens<N> x;
  for (int t = 0; t < N; ++t) {
    const char* row = static_cast<const char*>(m.x) + (first_token + t) * m.x_stride;
    x.codes[t] = q8_codes(row);
    x.scales[t] = q8_scales(row, k);
    x.small_sums[t] = q8_small_sums(row, k);
    x.large_sums[t] = q8_large_sums(row, k);
  }
  const auto* first_row = static_cast<const uint8_t*>(m.w->data) + m.row_begin * m.w->row_bytes;
  P part;
  // Four streams through memory: a quarter of the rows each, four rows of each at a time. Rows that
  // are left over are the last group, whose end repeats the last row.
  const int64_t rows = m.row_end - m.row_begin, quarter = rows / rows_at_once * 4;
  for (int64_t at = 0; at < quarter + (4 * quarter < rows ? 4 : 0); at += 4) {
    RowGroup group;
    int32_t offsets[rows_at_once];
    int64_t row[rows_at_once];
    for (int i = 0; i < rows_at_once; ++i) {
      row[i] = at < quarter ? i % 4 * quarter + at + i / 4 : 4 * quarter + i % 4 * 4 + i / 4;
      const int64_t offset = (row[i] < rows ? row[i] : rows - 1) * m.w->row_bytes;
      group.row[i] = first_row + offset;
      offsets[i] = static_cast<int32_t>(offset);
    }
    group.first = first_row;
    group.offsets = load(offsets);
    Floats out[N];
    for (int t = 0; t < N; ++t) out[t] = zero_floats();
    for (int64_t begin = 0; begin < steps; begin += P::steps_max) {
      const int64_t rest = steps - begin;
      const int count = rest < P::steps_max ? static_cast<int>(rest) : P::steps_max;
      stream_part<F, N>(group, begin, count, blocks, x, part, out);
    }
    for (int t = 0; t < N; ++t) {
      float lanes[rows_at_once];
      store_floats(lanes, out[t]);
      float* y = m.y + (first_token + t) * m.y_stride;
      for (int i = 0; i < rows_at_once; ++i)
        if (row[i] < rows) y[row[i]] = lanes[i];
    }
  }
}

template <class F>
void stream(const Matmul& m) {
  int64_t t = 0;
  for (; t + 4 <= m.n; t += 4) stream_tokens<F, 4>(m, t);
  if (m.n - t == 3) stream_tokens<F, 3>(m, t);
  if (m.n - t == 2) stream_tokens<F, 2>(m, t);
  if (m.n - t == 1) stream_tokens<F, 1>(m, t);
}

}  // namespace hadal::kernels::HADAL_WIDE
