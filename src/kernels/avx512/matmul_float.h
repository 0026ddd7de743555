// Entries of the table that matmul_float.cc fills (kernels.h tells what they do).
#pragma once

#include "kernels/kernels.h"
#include "kernels/wide.h"

namespace hadal::kernels::HADAL_WIDE {

void matmul_float(const Matmul& m);
void attention_scores(const float* q, int64_t q_stride, int64_t queries, const Rows* keys,
                      int64_t width, float scale, float* s, int64_t s_stride);

}  // namespace hadal::kernels::HADAL_WIDE
