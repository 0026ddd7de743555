// Small pieces shared by the AVX2 files. Everything is static: no copy may be shared with files
// compiled for other machines.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/decode.h"
#include "kernels/flush.h"
#include "kernels/kernels.h"

namespace hadal::kernels::avx2 {

// Ones in the first n of 8 lanes, 0 <= n <= 8.
static inline __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline int64_t clamp8(int64_t n) {
  return n < 0 ? 0 : n > 8 ? 8 : n;
}

// dot16's lanes, already added 8 apart, to their sum: 4, 2, 1 apart.
static inline float add_lanes(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_movehdup_ps(s));
  return _mm_cvtss_f32(s);
}

// The same for eight rows: lane i of the result is the sum of v[i].
static inline __m256 add_lanes8(const __m256* v) {
  __m256 q[4];
  for (int i = 0; i < 4; ++i) {
    q[i] = _mm256_add_ps(_mm256_blend_ps(v[i], v[i + 4], 0xf0),
                         _mm256_permute2f128_ps(v[i], v[i + 4], 0x21));
  }
  const __m256 a =
      _mm256_add_ps(_mm256_shuffle_ps(q[0], q[1], 0x44), _mm256_shuffle_ps(q[0], q[1], 0xee));
  const __m256 b =
      _mm256_add_ps(_mm256_shuffle_ps(q[2], q[3], 0x44), _mm256_shuffle_ps(q[2], q[3], 0xee));
  return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xdd));
}

// Eight vectors of whole numbers to their sums, lane i that of v[i].
static inline __m256i add_lanes8(const __m256i* v) {
  __m256i q[4];
  for (int i = 0; i < 4; ++i) {
    q[i] = _mm256_add_epi32(_mm256_blend_epi32(v[i], v[i + 4], 0xf0),
                            _mm256_permute2x128_si256(v[i], v[i + 4], 0x21));
  }
  const __m256i a =
      _mm256_add_epi32(_mm256_unpacklo_epi64(q[0], q[1]), _mm256_unpackhi_epi64(q[0], q[1]));
  const __m256i b =
      _mm256_add_epi32(_mm256_unpacklo_epi64(q[2], q[3]), _mm256_unpackhi_epi64(q[2], q[3]));
  const __m256 fa = _mm256_castsi256_ps(a), fb = _mm256_castsi256_ps(b);
  return _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(fa, fb, 0x88)),
                          _mm256_castps_si256(_mm256_shuffle_ps(fa, fb, 0xdd)));
}

static inline __m256 load_bf16(const void* p) {
  const __m128i h = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

static inline __m256 load_f16(const void* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

// x rounded to BF16, in the low halves of the lanes; NaN stays a quiet NaN.
static inline __m256i round_to_bf16(__m256 x) {
  const __m256i u = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, quiet, nan);
}

// By Activation: f32; q8_32 and q8_256; bf16.
void matmul_float(const Matmul& m);
void matmul_quantised(const Matmul& m);
void matmul_bf16(const Matmul& m);
// matmul_float with every output multiplied by scale.
void matmul_scaled(const Matmul& m, float scale);
void matmul_transposed(const Matrix* w, int64_t row_begin, int64_t row_end, const float* x,
                       int64_t x_stride, int64_t n, float* y, int64_t y_stride, float* scratch);
// decode_floats (kernels/decode.h) for integer formats.
void decode_integers(const Matrix& w, int64_t row, int64_t begin, int64_t count, float* out);
void decode_row(const Matrix* w, int64_t row, float* out);
void quantize(Activation activation, const float* x, int64_t k, void* out);

void attention_scores(const float* q, int64_t q_stride, int64_t queries, const Rows* keys,
                      int64_t width, float scale, float* s, int64_t s_stride);
float softmax(float* x, int64_t n);
void attention_values(const float* p, int64_t p_stride, int64_t queries, const Rows* values,
                      int64_t width, float* y, int64_t y_stride);

void pack_queries(const float* q, int64_t stride, int64_t queries, int64_t width, uint16_t* out);
void attend(const Attend& a);
void transposed_bf16(const TransposedBf16& m);

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* y);
void rope_interleaved(float* x, const float* cs, int64_t n);
void rope_halves(float* x, const float* cs, int64_t n);
void silu_mul(const float* gate, const float* up, int64_t n, float* y);
void add_scaled(float a, const float* x, int64_t n, float* y);
void round_bf16(float* x, int64_t n);
void float_to_bf16(const float* x, int64_t n, uint16_t* y);
void q8_0_to_bf16(const void* blocks, int64_t n, uint16_t* y);

void product(const PanelProduct& m);
float dot(const float* a, const float* b, int64_t n);
void scale(float a, const float* x, int64_t n, float* y);
float softmax_scaled(float* x, int64_t n, float scale, float* top);
void score_derivatives(float* s, float* dp, int64_t n, float scale, const float* log_sums,
                       const float* d);
void silu_mul_backward(const float* g, const float* u, const float* dh, float weight, int64_t n,
                       float* dg, float* du, float* h);
void rms_norm_backward(const float* x, const float* w, const float* dy, float eps, int64_t n,
                       bool add, float* dx, float* dw);

}  // namespace hadal::kernels::avx2
