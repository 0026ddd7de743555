// Few activations: the weights are read once, in the order in which they lie, eight rows at a time.
// Each row gives eight partial sums of whole numbers for a block; a tree of shuffles adds those of
// all eight rows at once, and one fma folds the block into the eight outputs. Formats with blocks
// of 32 take the eight rows side by side; those with blocks of 256 keep the sums of a row after the
// other: eight streams within a few pages are more than the hardware's prefetcher follows (6%).
#pragma once

#include "kernels/activation.h"
#include "kernels/avx2/quantised.h"

namespace hadal::kernels::avx2 {

// Sixteen 16-bit sums of each of eight rows to a sum a lane. Where four such sums fit into 16 bits
// the tree begins there, and widens once for all rows instead of once for each.
template <class F>
HADAL_INLINE __m256i add_pairs8(const __m256i* v) {
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (F::sums16 >= 4) {
    __m256i q[4];
    for (int i = 0; i < 4; ++i) {
      q[i] = _mm256_add_epi16(_mm256_blend_epi32(v[i], v[i + 4], 0xf0),
                              _mm256_permute2x128_si256(v[i], v[i + 4], 0x21));
    }
    const __m256i a = _mm256_madd_epi16(
        _mm256_add_epi16(_mm256_unpacklo_epi64(q[0], q[1]), _mm256_unpackhi_epi64(q[0], q[1])),
        ones);
    const __m256i b = _mm256_madd_epi16(
        _mm256_add_epi16(_mm256_unpacklo_epi64(q[2], q[3]), _mm256_unpackhi_epi64(q[2], q[3])),
        ones);
    const __m256 fa = _mm256_castsi256_ps(a), fb = _mm256_castsi256_ps(b);
    return _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(fa, fb, 0x88)),
                            _mm256_castps_si256(_mm256_shuffle_ps(fa, fb, 0xdd)));
  } else {
    __m256i wide[8];
    for (int r = 0; r < 8; ++r) wide[r] = _mm256_madd_epi16(v[r], ones);
    return add_lanes8(wide);
  }
}

// Fetches `bytes` to the second nearest cache: the hardware looks ahead within a page only.
HADAL_INLINE void prefetch(const uint8_t* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(p) + i, _MM_HINT_T1);
  }
}

// How far in front the formats with blocks of 256 are fetched. (Measured: 2, 8 or 16 KB, the
// nearest cache, or the first lines of each page alone are slower.)
constexpr int64_t large_ahead = 4096;

template <class F>
static inline __m256 stream_small(const uint8_t* const* rows, int64_t row_bytes, const void* x,
                                  int64_t k) {
  constexpr int64_t blocks_per_line = 64 / F::bytes;
  const int8_t* codes = q8_codes(x);
  const float* scales = q8_scales(x, k);
  const int32_t* sums = q8_small_sums(x, k);
  const int64_t count = k / 32;
  __m256 sum = _mm256_setzero_ps();
  for (int64_t first = 0; first < count; first += blocks_per_line) {
    const int64_t end = first + blocks_per_line < count ? first + blocks_per_line : count;
    for (int r = 0; r < 8; ++r) prefetch(rows[r] + first * F::bytes + 8 * row_bytes, 1);
    for (int64_t b = first; b < end; ++b) {
      const uint8_t* p[8];
      for (int r = 0; r < 8; ++r) p[r] = rows[r] + b * F::bytes;
      const __m256i xs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 32 * b));
      __m256i parts[8];
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) parts[r] = pair_sums<F>(F::codes(p[r], 0), xs);
      __m256i products = add_pairs8<F>(parts);
      if constexpr (F::offset != 0) {
        products = _mm256_sub_epi32(products, _mm256_set1_epi32(F::offset * sums[b]));
      }
      const __m256 dx = _mm256_set1_ps(scales[b]);
      sum = _mm256_fmadd_ps(_mm256_mul_ps(load_d<F>(p), dx), _mm256_cvtepi32_ps(products), sum);
      if constexpr (F::has_min) {
        const __m256 total = _mm256_set1_ps(static_cast<float>(sums[b]));
        sum = _mm256_fmadd_ps(_mm256_mul_ps(load_m<F>(p), dx), total, sum);
      }
    }
  }
  return sum;
}

// Sums of scale * code * activation of a block of 256, in eight lanes.
// packed: the row's eight scales, if the format has Heads.
template <class F>
HADAL_INLINE __m256i large_products(const uint8_t* p, const int8_t* x, const int16_t* sums,
                                    uint64_t packed) {
  __m256i sum = _mm256_setzero_si256();
  if constexpr (F::group == 32) {
    // Each scale twice in 32 bits, read back by broadcasts, which cost a load alone; the empty asm
    // keeps the compiler from making shuffles of them.
    alignas(32) int32_t pairs[8];
    __m256i scales;
    if constexpr (F::has_heads) {
      const __m256i spread =
          _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(0x80008000u)),
                           _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                              _mm256_set1_epi32(0x10001)));
      scales = _mm256_shuffle_epi8(_mm256_set1_epi64x(static_cast<long long>(packed)), spread);
    } else {
      scales = twice(_mm256_cvtepi8_epi32(F::scales(p)));
    }
    _mm256_store_si256(reinterpret_cast<__m256i*>(pairs), scales);
    __asm__("" : "+m"(pairs));
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const __m256i xs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32 * j));
      const __m256i products = pair_sums<F>(F::codes(p, j), xs);
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi32(pairs[j])));
    }
  } else {
    // Scales 0, 2, 4 ... in the low half, 1, 3, 5 ... in the high half, 16 bits each.
    const __m256i split = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(
        F::scales(p), _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15)));
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

// The first sixteen bytes of eight Q4_K or Q5_K blocks, taken apart together: lane r is row r.
struct Heads {
  __m256 d, m;
  __m256i minima;      // sums of minimum times activations
  uint64_t scales[8];  // of each row: eight bytes
};

HADAL_INLINE Heads load_heads(const uint8_t* const* p, const int16_t* sums) {
  // Rows r and r + 4 share a register; a 4 x 4 transposition in each half.
  __m256i v[4];
  for (int r = 0; r < 4; ++r) {
    v[r] = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p[r]))),
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(p[r + 4])), 1);
  }
  const __m256i t0 = _mm256_unpacklo_epi32(v[0], v[1]), t1 = _mm256_unpacklo_epi32(v[2], v[3]);
  const __m256i t2 = _mm256_unpackhi_epi32(v[0], v[1]), t3 = _mm256_unpackhi_epi32(v[2], v[3]);
  const __m256i halves = _mm256_unpacklo_epi64(t0, t1), a = _mm256_unpackhi_epi64(t0, t1);
  const __m256i b = _mm256_unpacklo_epi64(t2, t3), c = _mm256_unpackhi_epi64(t2, t3);
  // six_bits (formats.h), eight rows at once.
  const __m256i six = _mm256_set1_epi8(0x3f), four = _mm256_set1_epi8(0x0f);
  const __m256i two = _mm256_set1_epi8(0x30);
  const __m256i scales_low = _mm256_and_si256(a, six), mins_low = _mm256_and_si256(b, six);
  const __m256i scales_high =
      _mm256_or_si256(_mm256_and_si256(c, four), _mm256_and_si256(_mm256_srli_epi32(a, 2), two));
  const __m256i mins_high = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(c, 4), four),
                                            _mm256_and_si256(_mm256_srli_epi32(b, 2), two));
  Heads heads;
  const __m256i s0 = _mm256_unpacklo_epi32(scales_low, scales_high);  // rows 0 1, 4 5
  const __m256i s1 = _mm256_unpackhi_epi32(scales_low, scales_high);  // rows 2 3, 6 7
  auto* out = reinterpret_cast<__m128i*>(heads.scales);
  _mm_storeu_si128(out, _mm256_castsi256_si128(s0));
  _mm_storeu_si128(out + 1, _mm256_castsi256_si128(s1));
  _mm_storeu_si128(out + 2, _mm256_extracti128_si256(s0, 1));
  _mm_storeu_si128(out + 3, _mm256_extracti128_si256(s1, 1));

  // Sums of 32 activations; the minima of a lane are taken in pairs 0 2, 1 3, 4 6, 5 7.
  const __m256i s = _mm256_madd_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums)),
                                      _mm256_set1_epi16(1));
  const __m256i pairs = _mm256_blend_epi16(s, _mm256_slli_epi32(_mm256_shuffle_epi32(s, 0x0e), 16),
                                           0xaa);  // lane 0: sums 0 2, lane 1: 1 3
  const __m128i high = _mm256_extracti128_si256(pairs, 1);
  const __m256i even = _mm256_set1_epi32(0x00ff00ff);
  const auto times = [&](__m256i mins, __m128i pair) {
    return _mm256_madd_epi16(_mm256_and_si256(mins, even), _mm256_broadcastd_epi32(pair));
  };
  const __m128i low = _mm256_castsi256_si128(pairs);
  heads.minima = _mm256_add_epi32(
      _mm256_add_epi32(times(mins_low, low),
                       times(_mm256_srli_epi16(mins_low, 8), _mm_srli_si128(low, 4))),
      _mm256_add_epi32(times(mins_high, high),
                       times(_mm256_srli_epi16(mins_high, 8), _mm_srli_si128(high, 4))));

  const __m256i d = _mm256_and_si256(halves, _mm256_set1_epi32(0xffff));
  const __m256i m = _mm256_srli_epi32(halves, 16);
  const __m256i dm = _mm256_permute4x64_epi64(_mm256_packus_epi32(d, m), 0xd8);
  heads.d = _mm256_cvtph_ps(_mm256_castsi256_si128(dm));
  heads.m = _mm256_xor_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(dm, 1)), _mm256_set1_ps(-0.0f));
  return heads;
}

template <class F>
static inline __m256 stream_large(const uint8_t* const* rows, const void* x, int64_t k) {
  constexpr int64_t part = 8;  // blocks whose sums are kept
  const int8_t* codes = q8_codes(x);
  const float* scales = q8_scales(x, k);
  const int16_t* sums = q8_large_sums(x, k);
  const int64_t count = k / 256;
  __m256i parts[part][8];
  __m256 sum = _mm256_setzero_ps();
  for (int64_t first = 0; first < count; first += part) {
    const int64_t n = count - first < part ? count - first : part;
    for (int r = 0; r < 8; ++r) {
      const uint8_t* p = rows[r] + first * F::bytes;
      for (int64_t b = 0; b < n; ++b, p += F::bytes) {
        prefetch(p + large_ahead, F::bytes);
        uint64_t packed = 0;
        if constexpr (F::has_heads) packed = six_bits(p + 4).scales;
        parts[b][r] =
            large_products<F>(p, codes + 256 * (first + b), sums + 16 * (first + b), packed);
      }
    }
    for (int64_t b = first; b < first + n; ++b) {
      const uint8_t* p[8];
      for (int r = 0; r < 8; ++r) p[r] = rows[r] + b * F::bytes;
      const __m256 dx = _mm256_set1_ps(scales[b]);
      const __m256 products = _mm256_cvtepi32_ps(add_lanes8(parts[b - first]));
      if constexpr (F::has_heads) {
        const Heads heads = load_heads(p, sums + 16 * b);
        sum = _mm256_fmadd_ps(_mm256_mul_ps(heads.d, dx), products, sum);
        sum = _mm256_fmadd_ps(_mm256_mul_ps(heads.m, dx), _mm256_cvtepi32_ps(heads.minima), sum);
      } else {
        sum = _mm256_fmadd_ps(_mm256_mul_ps(load_d<F>(p), dx), products, sum);
        if constexpr (F::has_min) {
          __m256i minima[8];
          const __m256i s = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + 16 * b));
          for (int r = 0; r < 8; ++r) minima[r] = _mm256_madd_epi16(sum_coefficients<F>(p[r]), s);
          sum = _mm256_fmadd_ps(_mm256_mul_ps(load_m<F>(p), dx),
                                _mm256_cvtepi32_ps(add_lanes8(minima)), sum);
        }
      }
    }
  }
  return sum;
}

template <class F>
void stream(const Matmul& m) {
  const int64_t k = m.w->cols;
  for (int64_t row = m.row_begin; row < m.row_end; row += 8) {
    const uint8_t* rows[8];
    row_pointers(m, row, rows);
    for (int64_t t = 0; t < m.n; ++t) {
      __m256 out;
      if constexpr (F::weights == 32) {
        out = stream_small<F>(rows, m.w->row_bytes, activation_row(m, t), k);
      } else {
        out = stream_large<F>(rows, activation_row(m, t), k);
      }
      float* y = m.y + t * m.y_stride + row - m.row_begin;
      _mm256_maskstore_ps(y, first_lanes(clamp8(m.row_end - row)), out);
    }
  }
}

}  // namespace hadal::kernels::avx2
