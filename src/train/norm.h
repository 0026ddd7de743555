// RMSNorm with a trained weight.
#pragma once

#include <string>

#include "train/linear.h"

namespace hadal::train {

class Norm {
 public:
  Norm() = default;
  Norm(Parameters& parameters, const std::string& name, int64_t width, double eps)
      : weight_(&parameters.add(name + ".weight", {width})),
        width_(width),
        eps_(static_cast<float>(eps)) {}

  explicit operator bool() const { return weight_ != nullptr; }
  Parameter& weight() const { return *weight_; }
  int64_t width() const { return width_; }

  void load(std::span<const float> values) { load_values(*weight_, values); }

  // n rows on this thread, each stride floats after the other; y may be x.
  void forward(const Context& context, const float* x, int64_t x_stride, int64_t n, float* y,
               int64_t y_stride) const {
    for (int64_t r = 0; r < n; ++r)
      context.kernels.rms_norm(x + r * x_stride, weight_->value, eps_, width_, y + r * y_stride);
  }
  // dx = (added to it if `add`) the derivative at x; dx may be dy if not added. What the weight's
  // gradient grows by is added to dw [width].
  void backward(const Context& context, const float* x, int64_t x_stride, const float* dy,
                int64_t dy_stride, int64_t n, float* dx, int64_t dx_stride, bool add,
                float* dw) const {
    for (int64_t r = 0; r < n; ++r)
      context.kernels.rms_norm_backward(x + r * x_stride, weight_->value, dy + r * dy_stride, eps_,
                                        width_, add, dx + r * dx_stride, dw);
  }

 private:
  Parameter* weight_ = nullptr;
  int64_t width_ = 0;
  float eps_ = 0;
};

}  // namespace hadal::train
