// Pieces shared by the two ways of multiplying integer formats: streaming and panels.
#pragma once

#include "kernels/avx2/formats.h"
#include "kernels/avx2/simd.h"

namespace hadal::kernels::avx2 {

// Code times activation, neighbours added: 16 sums of 16 bits. Signed codes: |code| times the
// activation with the code's sign; 2 * 128 * 127 still fits.
template <class F>
HADAL_INLINE __m256i pair_sums(__m256i codes, __m256i x) {
  if constexpr (F::is_signed) {
    return _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes));
  } else {
    return _mm256_maddubs_epi16(codes, x);
  }
}

// Eight F16 to floats. They are put together in general registers: the vector ports are the busy
// ones.
HADAL_INLINE __m256 halves8(uint64_t h0, uint64_t h1, uint64_t h2, uint64_t h3, uint64_t h4,
                            uint64_t h5, uint64_t h6, uint64_t h7) {
  const uint64_t low = (h0 | h1 << 16) | (h2 | h3 << 16) << 32;
  const uint64_t high = (h4 | h5 << 16) | (h6 | h7 << 16) << 32;
  return _mm256_cvtph_ps(_mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low)));
}

// The block floats of eight rows.
template <class F>
HADAL_INLINE __m256 load_d(const uint8_t* const* p) {
  if constexpr (F::power_scale) {
    return _mm256_setr_ps(F::power(p[0]), F::power(p[1]), F::power(p[2]), F::power(p[3]),
                          F::power(p[4]), F::power(p[5]), F::power(p[6]), F::power(p[7]));
  } else {
    return halves8(F::d(p[0]), F::d(p[1]), F::d(p[2]), F::d(p[3]), F::d(p[4]), F::d(p[5]),
                   F::d(p[6]), F::d(p[7]));
  }
}

template <class F>
HADAL_INLINE __m256 load_m(const uint8_t* const* p) {
  return halves8(F::m(p[0]), F::m(p[1]), F::m(p[2]), F::m(p[3]), F::m(p[4]), F::m(p[5]), F::m(p[6]),
                 F::m(p[7]));
}

// Eight scales or minima of 32 codes, each twice in the 16-bit halves of a lane.
HADAL_INLINE __m256i twice(__m256i v) {
  return _mm256_or_si256(_mm256_slli_epi32(v, 16), _mm256_and_si256(v, _mm256_set1_epi32(0xffff)));
}

// Coefficients of the sums of sixteen activations, as 16-bit numbers: the minima, or the scales
// when the codes have an offset.
template <class F>
HADAL_INLINE __m256i sum_coefficients(const uint8_t* p) {
  if constexpr (F::offset != 0) {
    return _mm256_cvtepi8_epi16(F::scales(p));
  } else if constexpr (F::group == 16) {
    return _mm256_cvtepi8_epi16(F::mins(p));
  } else {
    return twice(_mm256_cvtepi8_epi32(F::mins(p)));
  }
}

constexpr int log2_of(int v) {
  return v <= 1 ? 0 : 1 + log2_of(v / 2);
}

// Rows [row, row + 8) from the first byte of each; rows past the end repeat the last one.
HADAL_INLINE void row_pointers(const Matmul& m, int64_t row, const uint8_t** p) {
  for (int64_t r = 0; r < 8; ++r) {
    const int64_t i = row + r < m.row_end ? row + r : m.row_end - 1;
    p[r] = static_cast<const uint8_t*>(m.w->data) + i * m.w->row_bytes;
  }
}

HADAL_INLINE const char* activation_row(const Matmul& m, int64_t t) {
  return static_cast<const char*>(m.x) + t * m.x_stride;
}

// Eight rows with each of a few activations, read once from memory.
template <class F>
void stream(const Matmul& m);
// Eight rows unpacked once for many activations.
template <class F>
void panel(const Matmul& m);

}  // namespace hadal::kernels::avx2
