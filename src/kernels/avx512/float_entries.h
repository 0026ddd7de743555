// Entries of the table for floats: matmul_float.cc, matmul_few.cc, scores.cc, axpy.cc (kernels.h
// tells what they do).
#pragma once

#include "kernels/kernels.h"
#include "kernels/wide.h"

namespace hadal::kernels::HADAL_WIDE {

void matmul_float(const Matmul& m);
// The same, each output times scale.
void matmul_scaled(const Matmul& m, float scale);
// The same for Q8_0 and some activations.
constexpr int64_t few_min = 4, few_max = 16;
void matmul_few(const Matmul& m);
void attention_scores(const float* q, int64_t q_stride, int64_t queries, const Rows* keys,
                      int64_t width, float scale, float* s, int64_t s_stride);
void attention_values(const float* p, int64_t p_stride, int64_t queries, const Rows* values,
                      int64_t width, float* y, int64_t y_stride);
void matmul_transposed(const Matrix* w, int64_t row_begin, int64_t row_end, const float* x,
                       int64_t x_stride, int64_t n, float* y, int64_t y_stride, float* scratch);

}  // namespace hadal::kernels::HADAL_WIDE
