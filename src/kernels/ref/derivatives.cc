// Elementwise parts of training.
#include <algorithm>
#include <cmath>

#include "kernels/exp.h"
#include "kernels/ref/ref.h"

namespace hadal::kernels::ref {

float dot(const float* a, const float* b, int64_t n) {
  return dot16(a, b, n);
}

void scale(float a, const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = a * x[i];
}

float softmax_scaled(float* x, int64_t n, float scale, float* top) {
  float max = scale * x[0];
  for (int64_t i = 1; i < n; ++i) max = std::max(max, scale * x[i]);
  float lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) {
    x[i] = exp_f32(__builtin_fmaf(scale, x[i], -max));
    lanes[i % 16] += x[i];
  }
  for (int s = 8; s > 0; s /= 2)
    for (int i = 0; i < s; ++i) lanes[i] += lanes[i + s];
  *top = max;
  return lanes[0];
}

void score_derivatives(float* s, float* dp, int64_t n, float scale, const float* log_sums,
                       const float* d) {
  for (int64_t j = 0; j < n; ++j) {
    s[j] = exp_f32(__builtin_fmaf(scale, s[j], -log_sums[j]));
    dp[j] = scale * (s[j] * (dp[j] - d[j]));
  }
}

void silu_mul_backward(const float* g, const float* u, const float* dh, float weight, int64_t n,
                       float* dg, float* du, float* h) {
  for (int64_t i = 0; i < n; ++i) {
    const float q = 1.0f / (1.0f + exp_f32(-g[i]));
    const float s = g[i] * q, e = weight * dh[i], up = u[i];
    du[i] = e * s;
    dg[i] = e * up * __builtin_fmaf(s, 1.0f - q, q);
    h[i] = s * up;
  }
}

void rms_norm_backward(const float* x, const float* w, const float* dy, float eps, int64_t n,
                       bool add, float* dx, float* dw) {
  const float mean = dot16(x, x, n) / static_cast<float>(n);
  const float s = 1.0f / std::sqrt(mean + eps);
  float lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i % 16] = __builtin_fmaf(w[i] * dy[i], x[i], lanes[i % 16]);
  for (int step = 8; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) lanes[i] += lanes[i + step];
  const float k = s * s * s * lanes[0] / static_cast<float>(n);
  for (int64_t i = 0; i < n; ++i) {
    const float d = __builtin_fmaf(s, w[i] * dy[i], -(k * x[i]));
    dw[i] = __builtin_fmaf(s * x[i], dy[i], dw[i]);
    dx[i] = add ? dx[i] + d : d;
  }
}

}  // namespace hadal::kernels::ref
