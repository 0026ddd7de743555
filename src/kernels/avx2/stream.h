// Few activations: the weights are read once, in the order in which they lie, eight rows at a time.
// Each row gives eight partial sums of whole numbers for a block; a tree of shuffles adds those of
// all eight rows at once, and one fma folds the block into the eight outputs.
#pragma once

#include "kernels/activation.h"
#include "kernels/avx2/quantised.h"

namespace hadal::kernels::avx2 {

template <class F>
HADAL_INLINE __m256i small_products(const uint8_t* p, __m256i x) {
  return _mm256_madd_epi16(pair_sums<F>(F::codes(p, 0), x), _mm256_set1_epi16(1));
}

template <class F>
static inline void stream_small(const uint8_t* const* rows, int64_t ahead, const void* x, int64_t k,
                                __m256& out) {
  const int8_t* codes = q8_codes(x);
  const float* scales = q8_scales(x, k);
  const int32_t* sums = q8_small_sums(x, k);
  const uint8_t* p[8];
  for (int r = 0; r < 8; ++r) p[r] = rows[r];
  __m256 sum = _mm256_setzero_ps();
  for (int64_t b = 0; b < k / 32; ++b) {
    const __m256i xs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 32 * b));
    __m256i parts[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
      _mm_prefetch(reinterpret_cast<const char*>(p[r]) + ahead, _MM_HINT_T0);
      parts[r] = small_products<F>(p[r], xs);
    }
    __m256i products = add_lanes8(parts);
    if constexpr (F::offset != 0) {
      products = _mm256_sub_epi32(products, _mm256_set1_epi32(F::offset * sums[b]));
    }
    const __m256 dx = _mm256_set1_ps(scales[b]);
    sum = _mm256_fmadd_ps(_mm256_mul_ps(load_d<F>(p), dx), _mm256_cvtepi32_ps(products), sum);
    if constexpr (F::has_min) {
      const __m256 total = _mm256_set1_ps(static_cast<float>(sums[b]));
      sum = _mm256_fmadd_ps(_mm256_mul_ps(load_m<F>(p), dx), total, sum);
    }
    for (int r = 0; r < 8; ++r) p[r] += F::bytes;
  }
  out = sum;
}

// Sums of scale * code * activation of a block of 256, in eight lanes.
template <class F>
HADAL_INLINE __m256i large_products(const uint8_t* p, const int8_t* x, const int16_t* sums) {
  const __m128i scales = F::scales(p);
  __m256i sum = _mm256_setzero_si256();
  if constexpr (F::group == 32) {
    alignas(32) int32_t pairs[8];  // read back by broadcasts, which cost a load alone
    _mm256_store_si256(reinterpret_cast<__m256i*>(pairs), twice(_mm256_cvtepi8_epi32(scales)));
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const __m256i xs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32 * j));
      const __m256i products = pair_sums<F>(F::codes(p, j), xs);
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi32(pairs[j])));
    }
  } else {
    // Scales 0, 2, 4 ... in the low half, 1, 3, 5 ... in the high half, 16 bits each.
    const __m256i split = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(
        scales, _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15)));
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const __m256i xs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32 * j));
      const __m256i products = pair_sums<F>(F::codes(p, j), xs);
      const auto pick = static_cast<short>(2 * j | (2 * j + 1) << 8);
      const __m256i scale = _mm256_shuffle_epi8(split, _mm256_set1_epi16(pick));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, scale));
    }
  }
  if constexpr (F::offset != 0) {
    const __m256i s = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums));
    const __m256i offsets = _mm256_madd_epi16(sum_coefficients<F>(p), s);
    sum = _mm256_sub_epi32(sum, _mm256_slli_epi32(offsets, log2_of(F::offset)));
  }
  return sum;
}

template <class F>
static inline void stream_large(const uint8_t* const* rows, int64_t ahead, const void* x, int64_t k,
                                __m256& out) {
  const int8_t* codes = q8_codes(x);
  const float* scales = q8_scales(x, k);
  const int16_t* sums = q8_large_sums(x, k);
  const uint8_t* p[8];
  for (int r = 0; r < 8; ++r) p[r] = rows[r];
  __m256 sum = _mm256_setzero_ps();
  for (int64_t b = 0; b < k / 256; ++b, codes += 256, sums += 16) {
    __m256i parts[8], minima[8];
#pragma GCC unroll 1
    for (int r = 0; r < 8; ++r) {
      for (int64_t i = 0; i < F::bytes; i += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(p[r]) + ahead + i, _MM_HINT_T0);
      }
      parts[r] = large_products<F>(p[r], codes, sums);
      if constexpr (F::has_min) {
        const __m256i s = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums));
        minima[r] = _mm256_madd_epi16(sum_coefficients<F>(p[r]), s);
      }
    }
    const __m256 dx = _mm256_set1_ps(scales[b]);
    sum = _mm256_fmadd_ps(_mm256_mul_ps(load_d<F>(p), dx), _mm256_cvtepi32_ps(add_lanes8(parts)),
                          sum);
    if constexpr (F::has_min) {
      sum = _mm256_fmadd_ps(_mm256_mul_ps(load_m<F>(p), dx), _mm256_cvtepi32_ps(add_lanes8(minima)),
                            sum);
    }
    for (int r = 0; r < 8; ++r) p[r] += F::bytes;
  }
  out = sum;
}

template <class F>
void stream(const Matmul& m) {
  const int64_t k = m.w->cols;
  const int64_t ahead = 8 * m.w->row_bytes;  // the next eight rows
  for (int64_t row = m.row_begin; row < m.row_end; row += 8) {
    const uint8_t* rows[8];
    row_pointers(m, row, rows);
    for (int64_t t = 0; t < m.n; ++t) {
      __m256 out;
      if constexpr (F::weights == 32) {
        stream_small<F>(rows, ahead, activation_row(m, t), k, out);
      } else {
        stream_large<F>(rows, ahead, activation_row(m, t), k, out);
      }
      float* y = m.y + t * m.y_stride + row - m.row_begin;
      _mm256_maskstore_ps(y, first_lanes(clamp8(m.row_end - row)), out);
    }
  }
}

}  // namespace hadal::kernels::avx2
