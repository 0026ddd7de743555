#include "model/norm.h"

namespace hadal::model {
namespace {

// Rows are short: a thread takes several.
constexpr int64_t grain = 4;

}  // namespace

void norm_rows(const Context& context, const float* x, const std::vector<float>& weight, double eps,
               int64_t n, float* y) {
  const auto width = static_cast<int64_t>(weight.size());
  context.pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      context.kernels.rms_norm(x + r * width, weight.data(), static_cast<float>(eps), width,
                               y + r * width);
  });
}

void add_and_norm_rows(const Context& context, const float* delta, const std::vector<float>& weight,
                       double eps, int64_t n, float* x, float* y) {
  const auto width = static_cast<int64_t>(weight.size());
  context.pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      context.kernels.add_scaled(1.0f, delta + r * width, width, x + r * width);
      context.kernels.rms_norm(x + r * width, weight.data(), static_cast<float>(eps), width,
                               y + r * width);
    }
  });
}

void add_rows(const Context& context, const float* delta, int64_t n, int64_t width, float* x) {
  context.pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      context.kernels.add_scaled(1.0f, delta + r * width, width, x + r * width);
  });
}

}  // namespace hadal::model
