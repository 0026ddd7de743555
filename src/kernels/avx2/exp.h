// exp_f32 of kernels/exp.h, eight at a time.
#pragma once

#include "kernels/avx2/simd.h"
#include "kernels/exp.h"

namespace hadal::kernels::avx2 {

static inline __m256 exp8(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(exp_log2e), _mm256_set1_ps(exp_magic));
  const __m256 n = _mm256_sub_ps(shifted, _mm256_set1_ps(exp_magic));
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-exp_ln2_high), x);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(-exp_ln2_low), r);
  __m256 p = _mm256_set1_ps(exp_c7);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(exp_c6));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(exp_c5));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(exp_c4));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(exp_c3));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(exp_c2));
  p = _mm256_fmadd_ps(p, r, one);
  p = _mm256_fmadd_ps(p, r, one);
  const __m256i exponent = _mm256_sub_epi32(_mm256_castps_si256(shifted),
                                            _mm256_castps_si256(_mm256_set1_ps(exp_magic)));
  const __m256i half = _mm256_srai_epi32(exponent, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i b = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(exponent, half), bias), 23);
  __m256 y = _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
  const __m256 low = _mm256_cmp_ps(x, _mm256_set1_ps(exp_low), _CMP_LT_OQ);
  const __m256 high = _mm256_cmp_ps(x, _mm256_set1_ps(exp_high), _CMP_GT_OQ);
  y = _mm256_andnot_ps(low, y);
  return _mm256_blendv_ps(y, _mm256_set1_ps(__builtin_inff()), high);
}

}  // namespace hadal::kernels::avx2
