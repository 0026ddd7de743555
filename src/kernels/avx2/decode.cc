// Integer formats to floats, in the order of operations of quant::decode_row: (d * scale) * code,
// then + m * minimum, each rounded.
#include "kernels/decode.h"

#include "kernels/avx2/quantised.h"

namespace hadal::kernels::avx2 {
namespace {

using quant::Type;

// Eight signed codes of `codes` to floats.
HADAL_INLINE __m256 to_floats(__m128i codes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
}

// Sixteen codes: out = scale * code + min.
template <class F>
HADAL_INLINE void decode16(__m128i codes, float scale, float min, float* out) {
  const __m256 s = _mm256_set1_ps(scale);
  __m256 low = _mm256_mul_ps(to_floats(codes), s);
  __m256 high = _mm256_mul_ps(to_floats(_mm_unpackhi_epi64(codes, codes)), s);
  if constexpr (F::has_min) {
    low = _mm256_add_ps(low, _mm256_set1_ps(min));
    high = _mm256_add_ps(high, _mm256_set1_ps(min));
  }
  _mm256_storeu_ps(out, low);
  _mm256_storeu_ps(out + 8, high);
}

// Eight small whole numbers times a factor.
HADAL_INLINE void scaled8(__m128i v, float factor, float* out) {
  _mm256_storeu_ps(out, _mm256_mul_ps(to_floats(v), _mm256_set1_ps(factor)));
}

HADAL_INLINE float half(uint16_t h) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

template <class F>
void decode_block(const uint8_t* p, float* out) {
  float d, scales[16] = {}, mins[16] = {};
  if constexpr (F::power_scale) {
    d = F::power(p);
  } else {
    d = half(F::d(p));
  }
  int64_t group = 32;
  if constexpr (F::weights == 32) {
    scales[0] = d;
    if constexpr (F::has_min) mins[0] = half(F::m(p));
  } else {
    group = F::group;
    const __m128i s = F::scales(p);
    scaled8(s, d, scales);
    scaled8(_mm_unpackhi_epi64(s, s), d, scales + 8);
    if constexpr (F::has_min) {
      const float m = half(F::m(p));
      const __m128i n = F::mins(p);
      scaled8(n, m, mins);
      scaled8(_mm_unpackhi_epi64(n, n), m, mins + 8);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < F::weights / 32; ++j) {
    const __m256i codes = _mm256_sub_epi8(F::codes(p, j), _mm256_set1_epi8(F::offset));
    const int64_t a = 32 * j / group, b = (32 * j + 16) / group;
    decode16<F>(_mm256_castsi256_si128(codes), scales[a], mins[a], out + 32 * j);
    decode16<F>(_mm256_extracti128_si256(codes, 1), scales[b], mins[b], out + 32 * j + 16);
  }
}

template <class F>
void decode_blocks(const uint8_t* row, int64_t begin, int64_t count, float* out) {
  const uint8_t* p = row + begin / F::weights * F::bytes;
  for (int64_t i = 0; i < count; i += F::weights, p += F::bytes) decode_block<F>(p, out + i);
}

}  // namespace

void decode_integers(const Matrix& w, int64_t row, int64_t begin, int64_t count, float* out) {
  const uint8_t* p = static_cast<const uint8_t*>(w.data) + row * w.row_bytes;
  switch (w.type) {
    case Type::Q8_0:
      return decode_blocks<Q8_0>(p, begin, count, out);
    case Type::Q4_0:
      return decode_blocks<Q4_0>(p, begin, count, out);
    case Type::Q4_1:
      return decode_blocks<Q4_1>(p, begin, count, out);
    case Type::Q5_0:
      return decode_blocks<Q5_0>(p, begin, count, out);
    case Type::Q5_1:
      return decode_blocks<Q5_1>(p, begin, count, out);
    case Type::IQ4_NL:
      return decode_blocks<IQ4_NL>(p, begin, count, out);
    case Type::MXFP4:
      return decode_blocks<MXFP4>(p, begin, count, out);
    case Type::Q2_K:
      return decode_blocks<Q2_K>(p, begin, count, out);
    case Type::Q3_K:
      return decode_blocks<Q3_K>(p, begin, count, out);
    case Type::Q4_K:
      return decode_blocks<Q4_K>(p, begin, count, out);
    case Type::Q5_K:
      return decode_blocks<Q5_K>(p, begin, count, out);
    case Type::Q6_K:
      return decode_blocks<Q6_K>(p, begin, count, out);
    case Type::IQ4_XS:
      return decode_blocks<IQ4_XS>(p, begin, count, out);
    default:
      return decode_part(w, row, begin, count, out);
  }
}

}  // namespace hadal::kernels::avx2
