// Row-wise steps between the products: norms, residual sums, biases.
#pragma once

#include <cstdint>
#include <vector>

#include "model/linear.h"

namespace hadal::model {

// y = RMSNorm(x) * weight; x, y [n, weight.size()].
void norm_rows(const Context& context, const float* x, const std::vector<float>& weight, double eps,
               int64_t n, float* y);

// x += delta, then y = RMSNorm(x) * weight: the end of one sublayer and the start of the next.
void add_and_norm_rows(const Context& context, const float* delta, const std::vector<float>& weight,
                       double eps, int64_t n, float* x, float* y);

// x += delta; both [n, width].
void add_rows(const Context& context, const float* delta, int64_t n, int64_t width, float* x);

}  // namespace hadal::model
