#include "train/norm.h"

#include <cmath>
#include <vector>

namespace hadal::train {

void Norm::forward(const Context& context, const float* x, int64_t x_stride, int64_t n, float* y,
                   int64_t y_stride) const {
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      context.kernels.rms_norm(x + r * x_stride, weight_->value, eps_, width_, y + r * y_stride);
  });
}

// y = w x s with s = 1 / sqrt(mean(x^2) + eps):
//   dx = s w dy - x s^3 / width * sum(w dy x),  dw = sum over rows of s x dy.
void Norm::backward(const Context& context, const float* x, int64_t x_stride, const float* dy,
                    int64_t dy_stride, int64_t n, float* dx, int64_t dx_stride, bool add) {
  const float* w = weight_->value;
  std::vector<float> scales(static_cast<size_t>(n));
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const float* xr = x + r * x_stride;
      float squares = 0.0f;
      for (int64_t c = 0; c < width_; ++c) squares += xr[c] * xr[c];
      scales[static_cast<size_t>(r)] =
          1.0f / std::sqrt(squares / static_cast<float>(width_) + eps_);
    }
  });
  // Before dx is written, which may be dy's place.
  context.pool.parallel_for(width_, 64, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = 0; r < n; ++r) {
      const float s = scales[static_cast<size_t>(r)];
      for (int64_t c = begin; c < end; ++c)
        weight_->gradient[c] += s * x[r * x_stride + c] * dy[r * dy_stride + c];
    }
  });
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const float* xr = x + r * x_stride;
      const float* dyr = dy + r * dy_stride;
      float* dxr = dx + r * dx_stride;
      const float s = scales[static_cast<size_t>(r)];
      float dot = 0.0f;
      for (int64_t c = 0; c < width_; ++c) dot += w[c] * dyr[c] * xr[c];
      const float k = s * s * s * dot / static_cast<float>(width_);
      for (int64_t c = 0; c < width_; ++c) {
        const float d = s * w[c] * dyr[c] - k * xr[c];
        dxr[c] = add ? dxr[c] + d : d;
      }
    }
  });
}

}  // namespace hadal::train
