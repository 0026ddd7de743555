// Weights in blocks of 256 times packed activations. A tile of sums belongs to 16 rows and 16
// tokens. The rows are unpacked a block at a time into a panel in the nearest cache, which all
// tokens then meet. The sums of a block are exact; while the tiles work on a block, the vectors
// fold the sums of the block before it into floats.
#pragma once

#include "kernels/amx/ahead.h"
#include "kernels/amx/large_formats.h"
#include "kernels/amx/outputs.h"
#include "kernels/amx/packed.h"

namespace hadal::kernels::HADAL_WIDE::amx {

// A block of 16 rows and what it meets: the same block of T groups of tokens.
template <class F, int T>
struct LargePlace {
  const LargeRows<F>* w;
  const LargeTokens* x[T];
  float* sums[T];  // [row][token]
};

// The sums of a block as tiles leave them. Two groups of tokens: group 0 low, high, group 1 low,
// high. One group: low, high of even columns of 64, low, high of odd ones: four chains of products
// that do not wait for each other.
struct alignas(64) LargeTiles {
  int32_t c[4][16][16];
};

// Columns [64 j, 64 j + 64) of a block.
template <class F, int T, int j>
HADAL_OP void large_products(const LargePlace<F, T>& p) {
  constexpr bool two = F::planes == 2;
  if constexpr (j == 0) {
    tile_zero<0>();
    tile_zero<1>();
    tile_zero<2>();
    tile_zero<3>();
  }
  if constexpr (T == 2) {
    tile_load<4>(p.w->codes[j][0], 64);
    tile_load<6>(p.x[0]->codes[j], 64);
    tile_dot_us<0, 4, 6>();
    if constexpr (two) {
      tile_load<5>(p.w->codes[j][1], 64);
      tile_dot_ss<1, 5, 6>();
    }
    tile_load<7>(p.x[1]->codes[j], 64);
    tile_dot_us<2, 4, 7>();
    if constexpr (two) tile_dot_ss<3, 5, 7>();
  } else {
    constexpr int c = j % 2 * 2;
    tile_load<6>(p.x[0]->codes[j], 64);
    tile_load<4>(p.w->codes[j][0], 64);
    tile_dot_us<c, 4, 6>();
    if constexpr (two) {
      tile_load<5>(p.w->codes[j][1], 64);
      tile_dot_ss<c + 1, 5, 6>();
    }
  }
}

template <class F>
HADAL_OP void large_store(LargeTiles& tiles) {
  tile_store<0>(tiles.c[0], 64);
  if constexpr (F::planes == 2) tile_store<1>(tiles.c[1], 64);
  tile_store<2>(tiles.c[2], 64);
  if constexpr (F::planes == 2) tile_store<3>(tiles.c[3], 64);
}

template <class F, int T>
HADAL_OP Ints large_sum(const LargeTiles& tiles, int t, int r) {
  const auto at = [&](int i) { return load(tiles.c[i][r]); };
  const auto whole = [](Ints low, Ints high) { return add32(low, shift_left32<8>(high)); };
  if constexpr (T == 2) {
    return F::planes == 2 ? whole(at(2 * t), at(2 * t + 1)) : at(2 * t);
  } else {
    const Ints low = add32(at(0), at(2));
    return F::planes == 2 ? whole(low, add32(at(1), at(3))) : low;
  }
}

// sums += the sums of rows [begin, begin + 4) of a block, as docs/numerics.md has it.
template <class F, int T>
HADAL_OP void large_fold(const LargePlace<F, T>& p, const LargeTiles& tiles, int begin) {
  constexpr int pairs = F::has_min ? 128 / F::group : 1;
  Floats d[T];
  Ints x[T][pairs];
#pragma GCC unroll 2
  for (int t = 0; t < T; ++t) {
    d[t] = load_floats(p.x[t]->d);
    if constexpr (F::has_min) {
#pragma GCC unroll 8
      for (int i = 0; i < pairs; ++i) {
        x[t][i] = load(F::group == 16 ? p.x[t]->sums16[i] : p.x[t]->sums32[i % 4]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = begin; r < begin + 4; ++r) {
    const Floats w = set_floats(p.w->d[r]);
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) {
      Floats sum = load_floats(p.sums[t] + 16 * r);
      sum = fma(mul_floats(w, d[t]), to_floats(large_sum<F, T>(tiles, t, r)), sum);
      if constexpr (F::has_min) {
        Ints minima = zero();
#pragma GCC unroll 8
        for (int i = 0; i < pairs; ++i) {
          minima = dot_words(minima, set_pair(&p.w->mins[r][2 * i]), x[t][i]);
        }
        sum = fma(mul_floats(set_floats(p.w->m[r]), d[t]), to_floats(minima), sum);
      }
      store_floats(p.sums[t] + 16 * r, sum);
    }
  }
}

// Tiles on `now`, vectors on `before`.
template <class F, int T>
HADAL_OP void large_step(const LargePlace<F, T>& now, const LargePlace<F, T>& before,
                         LargeTiles& tiles, Ahead& ahead) {
  large_products<F, T, 0>(now);
  large_fold<F, T>(before, tiles, 0);
  ahead.step(2 * T);
  large_products<F, T, 1>(now);
  large_fold<F, T>(before, tiles, 4);
  ahead.step(2 * T);
  large_products<F, T, 2>(now);
  large_fold<F, T>(before, tiles, 8);
  ahead.step(2 * T);
  large_products<F, T, 3>(now);
  large_fold<F, T>(before, tiles, 12);
  ahead.step(2 * T);
  large_store<F>(tiles);
}

template <class F, int T>
HADAL_OP void large_first(const LargePlace<F, T>& now, LargeTiles& tiles, Ahead& ahead) {
  large_products<F, T, 0>(now);
  large_products<F, T, 1>(now);
  large_products<F, T, 2>(now);
  large_products<F, T, 3>(now);
  ahead.step(8 * T);
  large_store<F>(tiles);
}

template <class F, int T>
HADAL_OP void large_last(const LargePlace<F, T>& before, const LargeTiles& tiles) {
  for (int r = 0; r < 16; r += 4) large_fold<F, T>(before, tiles, r);
}

// Blocks [0, count) of a panel with groups [begin, end) of tokens, T at a time; x, sums: of group
// 0.
template <class F, int T>
static inline void large_groups(const LargeRows<F>* panel, int64_t count, const LargeTokens* x,
                                int64_t x_stride, int64_t begin, int64_t end, Outputs& out,
                                LargeTiles& tiles, Ahead& ahead) {
  LargePlace<F, T> before;
  bool first = true;
  for (int64_t g = begin; g < end; g += T) {
    LargePlace<F, T> now;
    for (int t = 0; t < T; ++t) {
      now.x[t] = x + (g + t) * x_stride;
      now.sums[t] = out.sums[g + t];
    }
    now.w = panel;
    for (int64_t b = 0; b < count; ++b) {
      if (first) {
        large_first(now, tiles, ahead);
        first = false;
      } else {
        large_step(now, before, tiles, ahead);
      }
      before = now;
      ++now.w;
      for (int t = 0; t < T; ++t) ++now.x[t];
    }
  }
  if (!first) large_last(before, tiles);
}

template <class F>
static inline void large_unpack(const uint8_t* const* rows, int64_t count, LargeRows<F>* panel,
                                Ahead& ahead) {
  for (int r = 0; r < 16; ++r) {
    const uint8_t* p = rows[r];
    for (int64_t b = 0; b < count; ++b, p += F::bytes) {
      panel[b].d_half[r] = load_u16(p + F::d_at);
      if constexpr (F::has_min) panel[b].m_half[r] = load_u16(p + F::m_at) ^ 0x8000u;
      F::decode(p, r, panel[b]);
      ahead.step(1);
    }
  }
  for (int64_t b = 0; b < count; ++b) {
    LargeRows<F>& block = panel[b];
    store_floats(block.d, load_f16(block.d_half));
    if constexpr (F::has_min) {
      store_floats(block.m, load_f16(block.m_half));
      constexpr int per_load = 32 / (256 / F::group);
      for (int r = 0; r < 16; r += per_load) {
        store(block.mins[r], shift_right16<F::min_shift>(load_u8_as_i16(block.min_bytes[r])));
      }
    }
  }
}

template <class F>
void large(const Matmul& m) {
  // Two blocks are slower by up to a fifth (docs/lab-log.md).
  constexpr int64_t panel_blocks = 1;
  LargeRows<F> panel[panel_blocks];
  LargeTiles tiles;
  Outputs out;
  Ahead ahead;
  const int64_t blocks = m.w->cols / q8_large_block;
  for (int64_t token = 0; token < m.n; token += Outputs::tokens) {
    const int64_t n = m.n - token < Outputs::tokens ? m.n - token : Outputs::tokens;
    const int64_t groups = token_groups(n);
    const auto* x = static_cast<const LargeTokens*>(m.x) + token / token_group * blocks;
    for (int64_t row = m.row_begin; row < m.row_end; row += 16) {
      const uint8_t* rows[16];
      row_pointers(m, row, rows);
      ahead.set(rows[15] + m.w->row_bytes, row_limit(m, row + 32), blocks * (16 + 8 * groups));
      out.clear(groups);
      for (int64_t b = 0; b < blocks; b += panel_blocks) {
        const int64_t count = blocks - b < panel_blocks ? blocks - b : panel_blocks;
        large_unpack<F>(rows, count, panel, ahead);
        for (auto& p : rows) p += count * F::bytes;
        const int64_t pairs = groups / 2 * 2;
        large_groups<F, 2>(panel, count, x + b, blocks, 0, pairs, out, tiles, ahead);
        large_groups<F, 1>(panel, count, x + b, blocks, pairs, groups, out, tiles, ahead);
      }
      out.write(m, row, token, n);
    }
  }
}

}  // namespace hadal::kernels::HADAL_WIDE::amx
