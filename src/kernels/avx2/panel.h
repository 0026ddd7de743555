// Many activations: eight rows are unpacked once, up to 2048 columns at a time, into a panel in
// which a vector holds four neighbouring codes of each of the eight rows. An activation's four
// codes are broadcast against it, so that every lane belongs to one output and nothing has to be
// added across lanes. The outputs rest in y between the pieces of a row.
#pragma once

#include "kernels/activation.h"
#include "kernels/avx2/quantised.h"

namespace hadal::kernels::avx2 {

template <class F>
struct PanelBlock {
  static constexpr bool is_large = F::weights == 256;
  __m256i codes[F::weights / 4];
  __m256i scales[is_large ? 16 : 1];       // by group; 16-bit pairs of equal numbers
  __m256i coefficients[is_large ? 8 : 1];  // of pairs of sums of sixteen
  __m256 d, m;
};

// v[i], lane r <- v[r], lane i.
HADAL_INLINE void transpose8(__m256i* v) {
  __m256i a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
    a[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
    v[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
  }
}

template <class F>
static inline void pack_block(const uint8_t* const* p, PanelBlock<F>& block) {
#pragma GCC unroll 8
  for (int j = 0; j < F::weights / 32; ++j) {
    __m256i v[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) v[r] = F::codes(p[r], j);
    transpose8(v);
    for (int i = 0; i < 8; ++i) block.codes[8 * j + i] = v[i];
  }
  block.d = load_d<F>(p);
  if constexpr (F::has_min) block.m = load_m<F>(p);
  if constexpr (F::weights == 256) {
    __m256i low[8], high[8];
    for (int r = 0; r < 8; ++r) {
      const __m128i scales = F::scales(p[r]);
      low[r] = twice(_mm256_cvtepi8_epi32(scales));
      high[r] = twice(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(scales, scales)));
    }
    transpose8(low);
    for (int i = 0; i < 8; ++i) block.scales[i] = low[i];
    if constexpr (F::group == 16) {
      transpose8(high);
      for (int i = 0; i < 8; ++i) block.scales[8 + i] = high[i];
    }
    if constexpr (F::has_min || F::offset != 0) {
      __m256i c[8];
      for (int r = 0; r < 8; ++r) c[r] = sum_coefficients<F>(p[r]);
      transpose8(c);
      for (int i = 0; i < 8; ++i) block.coefficients[i] = c[i];
    }
  }
}

HADAL_INLINE __m256i broadcast4(const void* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return _mm256_set1_epi32(v);
}

// A group of 4 G codes of eight rows with T activations: products[t] += scale * sum.
template <class F, int T, int G>
HADAL_INLINE void group_products(const __m256i* codes, __m256i scale, const int8_t* const* x,
                                 int64_t at, __m256i* products) {
  constexpr int run = F::sums16 < G ? F::sums16 : G;
#pragma GCC unroll 8
  for (int i = 0; i < G; i += run) {
    __m256i sum[T];
#pragma GCC unroll 8
    for (int j = 0; j < run; ++j) {
      const __m256i w = codes[i + j];
      for (int t = 0; t < T; ++t) {
        const __m256i s = pair_sums<F>(w, broadcast4(x[t] + at + 4 * (i + j)));
        sum[t] = j == 0 ? s : _mm256_add_epi16(sum[t], s);
        __asm__("" : "+x"(sum[t]));  // or the compiler adds in a tree, and runs out of registers
      }
    }
    for (int t = 0; t < T; ++t) {
      products[t] = _mm256_add_epi32(products[t], _mm256_madd_epi16(sum[t], scale));
    }
  }
}

template <class F, int T>
static inline void panel_tokens(const PanelBlock<F>* blocks, int64_t block_begin,
                                int64_t block_count, const char* const* x, int64_t k,
                                float* const* y, __m256i mask, bool first) {
  const int8_t* codes[T];
  __m256 sum[T];
  for (int t = 0; t < T; ++t) {
    codes[t] = q8_codes(x[t]) + block_begin * F::weights;
    sum[t] = first ? _mm256_setzero_ps() : _mm256_maskload_ps(y[t], mask);
  }
  for (int64_t b = 0; b < block_count; ++b) {
    const PanelBlock<F>& block = blocks[b];
    __m256i products[T];
    for (int t = 0; t < T; ++t) products[t] = _mm256_setzero_si256();
    if constexpr (F::weights == 32) {
      group_products<F, T, 8>(block.codes, _mm256_set1_epi16(1), codes, 32 * b, products);
    } else {
      constexpr int vectors = F::group / 4;
#pragma GCC unroll 1
      for (int g = 0; g < 256 / F::group; ++g) {
        group_products<F, T, vectors>(block.codes + g * vectors, block.scales[g], codes,
                                      256 * b + g * F::group, products);
      }
    }
    for (int t = 0; t < T; ++t) {
      const int64_t at = block_begin + b;
      const __m256 dx = _mm256_set1_ps(q8_scales(x[t], k)[at]);
      __m256i minima = _mm256_setzero_si256();
      if constexpr (F::weights == 32) {
        if constexpr (F::has_min || F::offset != 0) {
          minima = _mm256_set1_epi32(q8_small_sums(x[t], k)[at] * (F::has_min ? 1 : F::offset));
        }
      } else if constexpr (F::has_min || F::offset != 0) {
        const int16_t* sums = q8_large_sums(x[t], k) + 16 * at;
        for (int i = 0; i < 8; ++i) {
          const __m256i s = broadcast4(sums + 2 * i);
          minima = _mm256_add_epi32(minima, _mm256_madd_epi16(block.coefficients[i], s));
        }
        if constexpr (F::offset != 0) minima = _mm256_slli_epi32(minima, log2_of(F::offset));
      }
      if constexpr (F::offset != 0) products[t] = _mm256_sub_epi32(products[t], minima);
      sum[t] = _mm256_fmadd_ps(_mm256_mul_ps(block.d, dx), _mm256_cvtepi32_ps(products[t]), sum[t]);
      if constexpr (F::has_min) {
        sum[t] = _mm256_fmadd_ps(_mm256_mul_ps(block.m, dx), _mm256_cvtepi32_ps(minima), sum[t]);
      }
    }
  }
  for (int t = 0; t < T; ++t) _mm256_maskstore_ps(y[t], mask, sum[t]);
}

template <class F>
void panel(const Matmul& m) {
  constexpr int64_t blocks_max = 2048 / F::weights;
  alignas(64) PanelBlock<F> blocks[blocks_max];
  const int64_t k = m.w->cols, block_total = k / F::weights;
  for (int64_t row = m.row_begin; row < m.row_end; row += 8) {
    const uint8_t* p[8];
    row_pointers(m, row, p);
    const __m256i mask = first_lanes(clamp8(m.row_end - row));
    for (int64_t begin = 0; begin < block_total; begin += blocks_max) {
      const int64_t count = block_total - begin < blocks_max ? block_total - begin : blocks_max;
      for (int64_t b = 0; b < count; ++b) {
        pack_block<F>(p, blocks[b]);
        for (int r = 0; r < 8; ++r) p[r] += F::bytes;
      }
      const char* x[4];
      float* y[4];
      for (int64_t t = 0; t < m.n; t += 4) {
        if (m.n - t == 1) {
          x[0] = activation_row(m, t);
          y[0] = m.y + t * m.y_stride + row - m.row_begin;
          panel_tokens<F, 1>(blocks, begin, count, x, k, y, mask, begin == 0);
          break;
        }
        for (int64_t i = 0; i < 4; ++i) {  // two or three: the last one again
          const int64_t token = t + i < m.n ? t + i : m.n - 1;
          x[i] = activation_row(m, token);
          y[i] = m.y + token * m.y_stride + row - m.row_begin;
        }
        panel_tokens<F, 4>(blocks, begin, count, x, k, y, mask, begin == 0);
      }
    }
  }
}

}  // namespace hadal::kernels::avx2
