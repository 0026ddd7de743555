#include "base/scalar.h"
#include "kernels/activation.h"
#include "kernels/avx2/exp.h"
#include "kernels/avx2/simd.h"

namespace hadal::kernels::avx2 {
namespace {

inline __m256 silu_mul8(__m256 gate, __m256 up) {
  const __m256 e = exp8(_mm256_xor_ps(gate, _mm256_set1_ps(-0.0f)));
  return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1.0f), e)), up);
}

}  // namespace

float softmax(float* x, int64_t n) {
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  __m256 m = lowest;
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) m = _mm256_max_ps(m, _mm256_loadu_ps(x + i));
  if (i < n) {
    const __m256i mask = first_lanes(n - i);
    m = _mm256_max_ps(
        m, _mm256_blendv_ps(lowest, _mm256_maskload_ps(x + i, mask), _mm256_castsi256_ps(mask)));
  }
  __m128 h = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
  h = _mm_max_ps(h, _mm_movehl_ps(h, h));
  h = _mm_max_ss(h, _mm_movehdup_ps(h));
  const __m256 max = _mm256_broadcastss_ps(h);

  __m256 sum0 = _mm256_setzero_ps(), sum1 = sum0;
  for (i = 0; i + 16 <= n; i += 16) {
    const __m256 a = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), max));
    const __m256 b = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i + 8), max));
    _mm256_storeu_ps(x + i, a);
    _mm256_storeu_ps(x + i + 8, b);
    sum0 = _mm256_add_ps(sum0, a);
    sum1 = _mm256_add_ps(sum1, b);
  }
  if (i < n) {
    const __m256i m0 = first_lanes(clamp8(n - i)), m1 = first_lanes(clamp8(n - i - 8));
    const __m256 a = exp8(_mm256_sub_ps(_mm256_maskload_ps(x + i, m0), max));
    _mm256_maskstore_ps(x + i, m0, a);
    sum0 = _mm256_add_ps(sum0, _mm256_and_ps(a, _mm256_castsi256_ps(m0)));
    if (n - i > 8) {
      const __m256 b = exp8(_mm256_sub_ps(_mm256_maskload_ps(x + i + 8, m1), max));
      _mm256_maskstore_ps(x + i + 8, m1, b);
      sum1 = _mm256_add_ps(sum1, _mm256_and_ps(b, _mm256_castsi256_ps(m1)));
    }
  }
  return add_lanes(_mm256_add_ps(sum0, sum1));
}

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* y) {
  __m256 sum0 = _mm256_setzero_ps(), sum1 = sum0;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
    sum0 = _mm256_fmadd_ps(a, a, sum0);
    sum1 = _mm256_fmadd_ps(b, b, sum1);
  }
  if (i < n) {
    const __m256 a = _mm256_maskload_ps(x + i, first_lanes(clamp8(n - i)));
    sum0 = _mm256_fmadd_ps(a, a, sum0);
    if (n - i > 8) {
      const __m256 b = _mm256_maskload_ps(x + i + 8, first_lanes(n - i - 8));
      sum1 = _mm256_fmadd_ps(b, b, sum1);
    }
  }
  const float mean = add_lanes(_mm256_add_ps(sum0, sum1)) / static_cast<float>(n);
  const float scale = 1.0f / __builtin_sqrtf(mean + eps);
  const __m256 s = _mm256_set1_ps(scale);
  for (i = 0; i + 8 <= n; i += 8) {
    const __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), s);
    _mm256_storeu_ps(y + i, _mm256_mul_ps(v, _mm256_loadu_ps(weight + i)));
  }
  for (; i < n; ++i) y[i] = x[i] * scale * weight[i];
}

void rope_interleaved(float* x, const float* cs, int64_t n) {
  // Of a pair (a, b): fma(a, cos, -(b * sin)) and fma(a, sin, b * cos).
  const __m256 sign = _mm256_setr_ps(-0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 v = _mm256_loadu_ps(x + i), c = _mm256_loadu_ps(cs + i);
    const __m256 swapped = _mm256_permute_ps(c, 0xb1);  // sin, cos
    const __m256 product = _mm256_mul_ps(_mm256_movehdup_ps(v), swapped);
    _mm256_storeu_ps(x + i,
                     _mm256_fmadd_ps(_mm256_moveldup_ps(v), c, _mm256_xor_ps(product, sign)));
  }
  for (; i + 2 <= n; i += 2) {
    const float a = x[i], b = x[i + 1];
    x[i] = __builtin_fmaf(a, cs[i], -(b * cs[i + 1]));
    x[i + 1] = __builtin_fmaf(a, cs[i + 1], b * cs[i]);
  }
}

void rope_halves(float* x, const float* cs, int64_t n) {
  const int64_t half = n / 2;
  int64_t i = 0;
  for (; i + 8 <= half; i += 8) {
    const __m256 c0 = _mm256_loadu_ps(cs + 2 * i), c1 = _mm256_loadu_ps(cs + 2 * i + 8);
    // Pairs 0 1 4 5 2 3 6 7 of the lanes: back into order.
    const __m256 cosine = _mm256_castpd_ps(
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(c0, c1, 0x88)), 0xd8));
    const __m256 sine = _mm256_castpd_ps(
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(c0, c1, 0xdd)), 0xd8));
    const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + half + i);
    _mm256_storeu_ps(x + i, _mm256_fmsub_ps(a, cosine, _mm256_mul_ps(b, sine)));
    _mm256_storeu_ps(x + half + i, _mm256_fmadd_ps(a, sine, _mm256_mul_ps(b, cosine)));
  }
  for (; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    x[i] = __builtin_fmaf(a, cs[2 * i], -(b * cs[2 * i + 1]));
    x[half + i] = __builtin_fmaf(a, cs[2 * i + 1], b * cs[2 * i]);
  }
}

void silu_mul(const float* gate, const float* up, int64_t n, float* y) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(y + i, silu_mul8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
  }
  if (i < n) {
    const __m256i mask = first_lanes(n - i);
    _mm256_maskstore_ps(
        y + i, mask,
        silu_mul8(_mm256_maskload_ps(gate + i, mask), _mm256_maskload_ps(up + i, mask)));
  }
}

void add_scaled(float a, const float* x, int64_t n, float* y) {
  const __m256 scale = _mm256_set1_ps(a);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(y + i, _mm256_fmadd_ps(scale, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  }
  for (; i < n; ++i) y[i] = __builtin_fmaf(a, x[i], y[i]);
}

void round_bf16(float* x, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256i h = round_to_bf16(_mm256_loadu_ps(x + i));
    _mm256_storeu_ps(x + i, _mm256_castsi256_ps(_mm256_slli_epi32(h, 16)));
  }
  for (; i < n; ++i) x[i] = bf16_to_float(hadal::float_to_bf16(x[i]));
}

void float_to_bf16(const float* x, int64_t n, uint16_t* y) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256i h = round_to_bf16(_mm256_loadu_ps(x + i));
    const __m128i packed =
        _mm_packus_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i), packed);
  }
  for (; i < n; ++i) y[i] = hadal::float_to_bf16(x[i]);
}

void q8_0_to_bf16(const void* blocks, int64_t n, uint16_t* y) {
  const auto* block = static_cast<const char*>(blocks);
  const __m256i half = _mm256_set1_epi32(0x8000);
  for (int64_t i = 0; i < n; i += 32, block += 34) {
    uint16_t scale;
    __builtin_memcpy(&scale, block, 2);
    const __m256 d = _mm256_set1_ps(f16_to_float(scale));
    for (int64_t j = 0; j < 32; j += 16) {
      const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 2 + j));
      const __m256 a = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)));
      const __m256 b = _mm256_mul_ps(
          d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(codes, codes))));
      const __m256i low = _mm256_srli_epi32(_mm256_add_epi32(_mm256_castps_si256(a), half), 16);
      const __m256i high = _mm256_srli_epi32(_mm256_add_epi32(_mm256_castps_si256(b), half), 16);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i + j),
                          _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8));
    }
  }
}

namespace {

// Largest magnitude of `vectors` times eight floats.
inline float largest(const float* x, int64_t vectors) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 m = _mm256_setzero_ps();
  for (int64_t i = 0; i < vectors; ++i) {
    m = _mm256_max_ps(m, _mm256_and_ps(_mm256_loadu_ps(x + 8 * i), magnitude));
  }
  __m128 h = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
  h = _mm_max_ps(h, _mm_movehl_ps(h, h));
  h = _mm_max_ss(h, _mm_movehdup_ps(h));
  return _mm_cvtss_f32(h);
}

// 32 floats times inverse, to nearest even, as int8 in order.
inline __m256i codes32(const float* x, __m256 inverse) {
  __m256i v[4];
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse));
  }
  const __m256i packed =
      _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
  return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

}  // namespace

void quantize(Activation activation, const float* x, int64_t k, void* out) {
  const bool small = activation == Activation::q8_32;
  const int64_t block = small ? q8_small_block : q8_large_block;
  char* row = static_cast<char*>(out);
  auto* scales = reinterpret_cast<float*>(row + q8_scales_offset(k));
  auto* sums32 = reinterpret_cast<int32_t*>(row + q8_sums_offset(activation, k));
  auto* sums16 = reinterpret_cast<int16_t*>(row + q8_sums_offset(activation, k));
  const __m256i ones8 = _mm256_set1_epi8(1), ones16 = _mm256_set1_epi16(1);
  for (int64_t b = 0; b < k / block; ++b) {
    const float amax = largest(x + b * block, block / 8);
    const bool zero = !(amax >= q8_smallest_amax);
    scales[b] = zero ? 0.0f : amax / 127.0f;
    const __m256 inverse = _mm256_set1_ps(zero ? 0.0f : 127.0f / amax);
    for (int64_t i = b * block; i < (b + 1) * block; i += 32) {
      const __m256i codes = codes32(x + i, inverse);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + i), codes);
      const __m256i quads = _mm256_madd_epi16(_mm256_maddubs_epi16(ones8, codes), ones16);
      __m256i s = _mm256_add_epi32(quads, _mm256_shuffle_epi32(quads, 0x4e));
      s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0xb1));
      const int32_t s0 = _mm256_extract_epi32(s, 0), s1 = _mm256_extract_epi32(s, 4);
      if (small) {
        sums32[i / 32] = s0 + s1;
      } else {
        sums16[i / 16] = static_cast<int16_t>(s0);
        sums16[i / 16 + 1] = static_cast<int16_t>(s1);
      }
    }
  }
}

}  // namespace hadal::kernels::avx2
