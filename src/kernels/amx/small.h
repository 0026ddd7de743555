// Weights in blocks of 32 times packed activations, as large.h does it. A block fills half of a
// tile's depth; its sums are folded into floats, which stay in registers while a panel meets
// sixteen tokens.
#pragma once

#include "kernels/amx/ahead.h"
#include "kernels/amx/outputs.h"
#include "kernels/amx/small_formats.h"

namespace hadal::kernels::HADAL_WIDE::amx {

struct alignas(64) SmallTiles {
  int32_t c[2][16][16];
};

// Block h of a pair, in tile registers 4 h ... 4 h + 2.
template <class F, int h>
HADAL_OP void small_products(const SmallRows<F>& w, const SmallTokens* x, SmallTiles& tiles) {
  tile_zero<4 * h>();
  tile_load<4 * h + 1>(w.codes[0] + 32 * h, 64);
  tile_load<4 * h + 2>(x[h].codes, 64);
  tile_dot_ss<4 * h, 4 * h + 1, 4 * h + 2>();
  tile_store<4 * h>(tiles.c[h], 64);
}

template <class F, int h>
HADAL_OP void small_fold(const SmallRows<F>& w, const SmallTokens* x, const SmallTiles& tiles,
                         Floats* sums) {
  const Floats d = load_floats(x[h].d);
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) {
    const Floats scale = mul_floats(set_floats(w.d[h][r]), d);
    sums[r] = fma(scale, to_floats(load(tiles.c[h][r])), sums[r]);
    if constexpr (F::has_min) {
      sums[r] = fma(mul_floats(set_floats(w.m[h][r]), d), load_floats(x[h].sums), sums[r]);
    }
  }
}

// Blocks [0, count) of a panel with a group of tokens.
template <class F>
static inline void small_group(const SmallRows<F>* w, int64_t count, const SmallTokens* x,
                               float* sums_at, SmallTiles& tiles, Ahead& ahead) {
  Floats sums[16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) sums[r] = load_floats(sums_at + 16 * r);
  small_products<F, 0>(*w, x, tiles);
  for (; count > 2; count -= 2, ++w, x += 2) {
    small_products<F, 1>(*w, x, tiles);
    small_fold<F, 0>(*w, x, tiles, sums);
    small_products<F, 0>(w[1], x + 2, tiles);
    small_fold<F, 1>(*w, x, tiles, sums);
    ahead.step(4);
  }
  ahead.step(4);
  if (count == 2) small_products<F, 1>(*w, x, tiles);
  small_fold<F, 0>(*w, x, tiles, sums);
  if (count == 2) small_fold<F, 1>(*w, x, tiles, sums);
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) store_floats(sums_at + 16 * r, sums[r]);
}

template <class F>
static inline void small_unpack(const uint8_t* const* rows, int64_t count, SmallRows<F>* panel,
                                Ahead& ahead) {
  for (int r = 0; r < 16; ++r) {
    const uint8_t* p = rows[r];
    SmallRows<F>* pair = panel;
    for (int64_t left = count; left > 0; left -= 2, ++pair, p += 2 * F::bytes) {
      const uint8_t* const block[2] = {p, left > 1 ? p + F::bytes : p};
      store(pair->codes[r], F::codes(block[0], block[1]));
      for (int h = 0; h < 2; ++h) {
        if constexpr (F::power_scale) {
          pair->d[h][r] = F::power(block[h]);
        } else {
          pair->d_half[h][r] = load_u16(block[h]);
        }
        if constexpr (F::has_min) pair->m_half[h][r] = load_u16(block[h] + 2);
      }
      ahead.step(1);
    }
  }
  for (int64_t b = 0; b < (count + 1) / 2; ++b) {
    SmallRows<F>& pair = panel[b];
    for (int h = 0; h < 2; ++h) {
      if constexpr (!F::power_scale) store_floats(pair.d[h], load_f16(pair.d_half[h]));
      if constexpr (F::has_min) store_floats(pair.m[h], load_f16(pair.m_half[h]));
    }
  }
}

template <class F>
void small(const Matmul& m) {
  constexpr int64_t panel_blocks = 24;
  SmallRows<F> panel[panel_blocks / 2];
  SmallTiles tiles;
  Outputs out;
  Ahead ahead;
  const int64_t blocks = m.w->cols / q8_small_block;
  const int64_t chunks = (blocks + panel_blocks - 1) / panel_blocks;
  // Parts of about the same length, all but the last of whole pairs.
  const int64_t chunk = ((blocks + chunks - 1) / chunks + 1) / 2 * 2;
  for (int64_t token = 0; token < m.n; token += Outputs::tokens) {
    const int64_t n = m.n - token < Outputs::tokens ? m.n - token : Outputs::tokens;
    const int64_t groups = token_groups(n);
    const auto* x = static_cast<const SmallTokens*>(m.x) + token / token_group * blocks;
    for (int64_t row = m.row_begin; row < m.row_end; row += 16) {
      const uint8_t* rows[16];
      row_pointers(m, row, rows);
      ahead.set(rows[15] + m.w->row_bytes, row_limit(m, row + 32), blocks * (8 + 2 * groups));
      out.clear(groups);
      for (int64_t b = 0; b < blocks; b += chunk) {
        const int64_t count = blocks - b < chunk ? blocks - b : chunk;
        small_unpack<F>(rows, count, panel, ahead);
        for (auto& p : rows) p += count * F::bytes;
        for (int64_t g = 0; g < groups; ++g) {
          small_group<F>(panel, count, x + g * blocks + b, out.sums[g], tiles, ahead);
        }
      }
      out.write(m, row, token, n);
    }
  }
}

}  // namespace hadal::kernels::HADAL_WIDE::amx
