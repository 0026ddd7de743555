// Elementwise parts of training, eight numbers at a time.
#include "kernels/avx2/exp.h"

namespace hadal::kernels::avx2 {
namespace {

inline __m256 negative(__m256 x) {
  return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
}

// Up to eight numbers, zeros behind them.
inline __m256 get(const float* p, int64_t count) {
  return count >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(count));
}
inline void put(float* p, int64_t count, __m256 v) {
  if (count >= 8)
    _mm256_storeu_ps(p, v);
  else
    _mm256_maskstore_ps(p, first_lanes(count), v);
}

// dot16's lanes: the two halves of sixteen, in turn.
struct Sum16 {
  __m256 half[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  void fma(int64_t i, __m256 a, __m256 b) {
    __m256& sum = half[i / 8 % 2];
    sum = _mm256_fmadd_ps(a, b, sum);
  }
  float total() const { return add_lanes(_mm256_add_ps(half[0], half[1])); }
};

}  // namespace

float dot(const float* a, const float* b, int64_t n) {
  Sum16 sum;
  for (int64_t i = 0; i < n; i += 8) sum.fma(i, get(a + i, n - i), get(b + i, n - i));
  return sum.total();
}

void scale(float a, const float* x, int64_t n, float* y) {
  const __m256 factor = _mm256_set1_ps(a);
  for (int64_t i = 0; i < n; i += 8) put(y + i, n - i, _mm256_mul_ps(factor, get(x + i, n - i)));
}

float softmax_scaled(float* x, int64_t n, float scale, float* top) {
  const __m256 factor = _mm256_set1_ps(scale), lowest = _mm256_set1_ps(-__builtin_inff());
  __m256 max = lowest;
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 v = _mm256_mul_ps(factor, get(x + i, n - i));
    const __m256 there = _mm256_castsi256_ps(first_lanes(clamp8(n - i)));
    max = _mm256_max_ps(_mm256_blendv_ps(lowest, v, there), max);
  }
  __m128 h = _mm_max_ps(_mm256_castps256_ps128(max), _mm256_extractf128_ps(max, 1));
  h = _mm_max_ps(h, _mm_movehl_ps(h, h));
  h = _mm_max_ss(h, _mm_movehdup_ps(h));
  *top = _mm_cvtss_f32(h);
  const __m256 minus_top = _mm256_set1_ps(-*top);
  Sum16 sum;
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 e = exp8(_mm256_fmadd_ps(factor, get(x + i, n - i), minus_top));
    put(x + i, n - i, e);
    const __m256 there = _mm256_castsi256_ps(first_lanes(clamp8(n - i)));
    __m256& half = sum.half[i / 8 % 2];
    half = _mm256_add_ps(half, _mm256_and_ps(e, there));
  }
  return sum.total();
}

void score_derivatives(float* s, float* dp, int64_t n, float scale, const float* log_sums,
                       const float* d) {
  const __m256 factor = _mm256_set1_ps(scale);
  for (int64_t i = 0; i < n; i += 8) {
    const int64_t count = n - i;
    const __m256 p =
        exp8(_mm256_fmadd_ps(factor, get(s + i, count), negative(get(log_sums + i, count))));
    const __m256 difference = _mm256_sub_ps(get(dp + i, count), get(d + i, count));
    put(s + i, count, p);
    put(dp + i, count, _mm256_mul_ps(factor, _mm256_mul_ps(p, difference)));
  }
}

void silu_mul_backward(const float* g, const float* u, const float* dh, float weight, int64_t n,
                       float* dg, float* du, float* h) {
  const __m256 one = _mm256_set1_ps(1.0f), w = _mm256_set1_ps(weight);
  for (int64_t i = 0; i < n; i += 8) {
    const int64_t count = n - i;
    const __m256 gate = get(g + i, count), up = get(u + i, count);
    const __m256 q = _mm256_div_ps(one, _mm256_add_ps(one, exp8(negative(gate))));
    const __m256 s = _mm256_mul_ps(gate, q), e = _mm256_mul_ps(w, get(dh + i, count));
    put(du + i, count, _mm256_mul_ps(e, s));
    put(dg + i, count,
        _mm256_mul_ps(_mm256_mul_ps(e, up), _mm256_fmadd_ps(s, _mm256_sub_ps(one, q), q)));
    put(h + i, count, _mm256_mul_ps(s, up));
  }
}

void rms_norm_backward(const float* x, const float* w, const float* dy, float eps, int64_t n,
                       bool add, float* dx, float* dw) {
  Sum16 squares, products;
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 v = get(x + i, n - i);
    squares.fma(i, v, v);
    products.fma(i, _mm256_mul_ps(get(w + i, n - i), get(dy + i, n - i)), v);
  }
  const float s = 1.0f / __builtin_sqrtf(squares.total() / static_cast<float>(n) + eps);
  const float k = s * s * s * products.total() / static_cast<float>(n);
  const __m256 scale = _mm256_set1_ps(s), shrink = _mm256_set1_ps(k);
  for (int64_t i = 0; i < n; i += 8) {
    const int64_t count = n - i;
    const __m256 v = get(x + i, count), derivative = get(dy + i, count);
    const __m256 t = _mm256_mul_ps(get(w + i, count), derivative);
    const __m256 d = _mm256_fmadd_ps(scale, t, negative(_mm256_mul_ps(shrink, v)));
    put(dw + i, count, _mm256_fmadd_ps(_mm256_mul_ps(scale, v), derivative, get(dw + i, count)));
    put(dx + i, count, add ? _mm256_add_ps(get(dx + i, count), d) : d);
  }
}

}  // namespace hadal::kernels::avx2
