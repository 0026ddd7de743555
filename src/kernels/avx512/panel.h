// Many activations: sixteen rows are unpacked once, 1024 columns at a time, into a panel in which a
// vector holds four neighbouring codes of each of the sixteen rows. An activation's four codes are
// broadcast against it, so that every lane belongs to one output and nothing has to be added across
// lanes. The outputs rest in y between the pieces of a row.
#pragma once

#include "kernels/activation.h"
#include "kernels/avx512/formats.h"
#include "kernels/avx512/transpose.h"

namespace hadal::kernels::HADAL_WIDE {

constexpr int panel_rows = 16;
constexpr int64_t panel_columns = 1024;
constexpr int panel_tokens = 8;  // that meet a vector of the panel together

// A block of sixteen rows.
template <class F>
struct PanelBlock {
  static constexpr bool is_large = F::weights == 256;
  Ints codes[F::weights / 4];
  Ints scales[is_large ? 16 : 1];       // of groups of codes, in 32 bits
  Ints coefficients[is_large ? 8 : 1];  // of pairs of sums of sixteen activations
  Floats d, m;
};

struct PanelRows {
  const uint8_t* row[panel_rows];  // those past the end repeat the last one
  Ints offsets;                    // from the first
};

// ---- packing

template <class F>
HADAL_OP void pack_pair(const PanelRows& p, int64_t second, PanelBlock<F>* blocks) {
  Ints v[16];
  for (int r = 0; r < 16; ++r) v[r] = F::codes(p.row[r], p.row[r] + second);
  transpose16(v);
  const int count = second == 0 ? 1 : 2;
  for (int b = 0; b < count; ++b) {
    for (int i = 0; i < 8; ++i) blocks[b].codes[i] = v[8 * b + i];
    blocks[b].d = F::d(p.row[0] + b * second, p.offsets);
    if constexpr (F::has_min) blocks[b].m = F::m(p.row[0] + b * second, p.offsets);
  }
}

// A row's sixteen scales of groups of 16, twice 16 bits in a lane; or its eight, in lanes 0 to 7.
template <class F>
HADAL_OP Ints scale_lanes(const uint8_t* p) {
  if constexpr (F::is_broad) {
    const Ints at =
        pattern<[](int i) { return i % 4 == 0 ? i / 4 % 4 / 2 * 16 + i / 4 % 2 * 8 : 0; }>();
    const Ints a = permute32_2(at, F::scales(p, 0), F::scales(p, 1));
    const Ints b = permute32_2(at, F::scales(p, 2), F::scales(p, 3));
    const Ints next = pattern<[](int i) { return i % 4 == 0 ? i / 4 % 4 + i / 16 % 2 * 16 : 0; }>();
    const Ints s = permute32_2(next, a, b);
    return bit_or(shift_left32<16>(s), bit_and(s, set32(0xffff)));
  } else {
    // Lane 4 q of scales(p, h) is group 8 h + q, lane 4 q + 2 group 8 h + 4 + q.
    constexpr int step = F::group / 16;
    const Ints at = pattern<[](int i) {
      const int g = i / 4 * step % 16;
      return i % 4 == 0 ? g / 8 * 16 + g % 4 * 4 + g % 8 / 4 * 2 : 0;
    }>();
    const Ints s = permute32_2(at, F::scales(p, 0), F::scales(p, 1));
    return F::scales_high ? shift_right_signed16<8>(s) : s;
  }
}

template <class F>
HADAL_OP void pack_large(const PanelRows& p, PanelBlock<F>& block) {
  for (int j = 0; j < 4; ++j) {
    Ints v[16];
    for (int r = 0; r < 16; ++r) v[r] = F::codes(p.row[r], j);
    transpose16(v);
    for (int i = 0; i < 16; ++i) block.codes[16 * j + i] = v[i];
  }
  Ints s[16];
  for (int r = 0; r < 16; ++r) s[r] = scale_lanes<F>(p.row[r]);
  transpose16(s);
  for (int g = 0; g < 256 / F::group; ++g) block.scales[g] = shift_right_signed32<16>(s[g]);
  block.d = F::d(p.row[0], p.offsets);
  if constexpr (F::has_min) {
    block.m = F::m(p.row[0], p.offsets);
    Ints bytes[F::mins_count / 4];
    F::minima(p.row[0], p.offsets, bytes);
    for (int i = 0; i < 8; ++i) {
      const Ints counts = set32(F::mins_count == 8 ? i % 4 * 8 : i % 2 * 16);
      const Ints b = shift_right_each32(bytes[i * F::mins_count / 32], counts);
      const Ints low = bit_and(b, set32(255));
      const Ints high = F::mins_count == 8 ? low : bit_and(shift_right32<8>(b), set32(255));
      block.coefficients[i] = bit_or(low, shift_left32<16>(high));
    }
  } else if constexpr (F::offset != 0) {
    for (int i = 0; i < 8; ++i)
      block.coefficients[i] =
          F::group == 32 ? s[i] : bit_select(set32(0xffff), s[2 * i], s[2 * i + 1]);
  }
}

// ---- products

HADAL_OP Ints broadcast4(const void* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return set32(v);
}

template <class F, int T>
HADAL_OP void small_totals(const PanelBlock<F>& block, const int8_t* const* codes,
                           const int32_t* const* sums, Ints* total) {
  for (int t = 0; t < T; ++t) total[t] = F::offset == 0 ? zero() : set32(-F::offset * *sums[t]);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const Ints w = block.codes[i];
    for (int t = 0; t < T; ++t) total[t] = dot_bytes(total[t], w, broadcast4(codes[t] + 4 * i));
  }
}

template <class F, int T>
HADAL_OP void large_totals(const PanelBlock<F>& block, const int8_t* const* codes, Ints* total) {
  constexpr int vectors = F::group / 4;
  for (int t = 0; t < T; ++t) total[t] = zero();
#pragma GCC unroll 1
  for (int g = 0; g < 256 / F::group; ++g) {
    Ints sum[T];
    for (int t = 0; t < T; ++t) sum[t] = zero();
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) {
      const Ints w = block.codes[g * vectors + i];
      for (int t = 0; t < T; ++t)
        sum[t] = dot_bytes(sum[t], w, broadcast4(codes[t] + g * F::group + 4 * i));
    }
    for (int t = 0; t < T; ++t) total[t] = add32(total[t], mul32(sum[t], block.scales[g]));
  }
}

// Blocks [begin, begin + count) of sixteen rows with T activations.
template <class F, int T>
static inline void panel_products(const PanelBlock<F>* blocks, int64_t begin, int count,
                                  const char* const* x, int64_t k, float* const* y, int rows) {
  constexpr bool has_sums = F::has_min || F::offset != 0;
  Floats out[T];
  for (int t = 0; t < T; ++t) out[t] = begin == 0 ? zero_floats() : load_floats_first(y[t], rows);
  for (int b = 0; b < count; ++b) {
    const PanelBlock<F>& block = blocks[b];
    const int64_t at = begin + b;
    const int8_t* codes[T];
    for (int t = 0; t < T; ++t) codes[t] = q8_codes(x[t]) + at * F::weights;
    Ints total[T];
    if constexpr (F::weights == 32) {
      const int32_t* sums[T];
      for (int t = 0; t < T; ++t) sums[t] = q8_small_sums(x[t], k) + at;
      small_totals<F, T>(block, codes, sums, total);
    } else {
      large_totals<F, T>(block, codes, total);
    }
    for (int t = 0; t < T; ++t) {
      Ints minima = zero();
      if constexpr (F::weights == 32) {
        if constexpr (F::has_min) minima = set32(q8_small_sums(x[t], k)[at]);
      } else if constexpr (has_sums) {
        const int16_t* sums = q8_large_sums(x[t], k) + 16 * at;
        for (int i = 0; i < 8; ++i)
          minima = dot_words(minima, block.coefficients[i], broadcast4(sums + 2 * i));
        if constexpr (F::offset != 0) total[t] = sub32(total[t], mul32(minima, set32(F::offset)));
      }
      const Floats dx = set_floats(q8_scales(x[t], k)[at]);
      out[t] = fma(mul_floats(block.d, dx), to_floats(total[t]), out[t]);
      if constexpr (F::has_min) out[t] = fma(mul_floats(block.m, dx), to_floats(minima), out[t]);
    }
  }
  for (int t = 0; t < T; ++t) store_floats_first(y[t], rows, out[t]);
}

template <class F, int T>
static inline void panel_tokens_at(const Matmul& m, const PanelBlock<F>* blocks, int64_t begin,
                                   int count, int64_t first_token, int64_t row, int rows) {
  const char* x[T];
  float* y[T];
  for (int64_t i = 0; i < T; ++i) {  // past the end: the last one again
    const int64_t t = first_token + i < m.n ? first_token + i : m.n - 1;
    x[i] = static_cast<const char*>(m.x) + t * m.x_stride;
    y[i] = m.y + t * m.y_stride + row - m.row_begin;
  }
  panel_products<F, T>(blocks, begin, count, x, m.w->cols, y, rows);
}

template <class F>
static inline void pack_panel(PanelRows p, int count, PanelBlock<F>* blocks) {
  constexpr int step = F::weights == 32 ? 2 : 1;
  for (int b = 0; b < count; b += step) {
    if constexpr (F::weights == 32)
      pack_pair<F>(p, b + 1 < count ? F::bytes : 0, blocks + b);
    else
      pack_large<F>(p, blocks[b]);
    for (const uint8_t*& row : p.row) row += step * F::bytes;
  }
}

template <class F>
void panel(const Matmul& m) {
  constexpr int blocks_max = panel_columns / F::weights;
  PanelBlock<F> blocks[blocks_max];
  const int64_t blocks_all = m.w->cols / F::weights;
  for (int64_t row = m.row_begin; row < m.row_end; row += panel_rows) {
    const int64_t left = m.row_end - row;
    const int rows = left < panel_rows ? static_cast<int>(left) : panel_rows;
    int32_t offsets[panel_rows];
    for (int r = 0; r < panel_rows; ++r)
      offsets[r] = static_cast<int32_t>((r < rows ? r : rows - 1) * m.w->row_bytes);
    const uint8_t* first = static_cast<const uint8_t*>(m.w->data) + row * m.w->row_bytes;
    for (int64_t begin = 0; begin < blocks_all; begin += blocks_max) {
      const int64_t rest = blocks_all - begin;
      const int count = rest < blocks_max ? static_cast<int>(rest) : blocks_max;
      PanelRows p;
      p.offsets = load(offsets);
      for (int r = 0; r < panel_rows; ++r) p.row[r] = first + offsets[r] + begin * F::bytes;
      pack_panel<F>(p, count, blocks);
      for (int64_t t = 0; t < m.n; t += panel_tokens) {
        if (m.n - t > panel_tokens / 2)
          panel_tokens_at<F, panel_tokens>(m, blocks, begin, count, t, row, rows);
        else
          panel_tokens_at<F, panel_tokens / 2>(m, blocks, begin, count, t, row, rows);
      }
    }
  }
}

}  // namespace hadal::kernels::HADAL_WIDE
