// Entries of the table for training.
#pragma once

#include "kernels/avx512/simd.h"

namespace hadal::kernels::HADAL_WIDE {

void product(const PanelProduct& m);
void product_tiles(const PanelProduct& m);
void pack_rows(const Packing& p);
void pack_columns(const Packing& p);
void transpose(const Packing& p);
float dot(const float* a, const float* b, int64_t n);
void scale(float a, const float* x, int64_t n, float* y);
float softmax(float* x, int64_t n);
void merge(const float* o, int64_t o_stride, int64_t pieces, const float* factors, float last,
           int64_t width, float* out);
float softmax_scaled(float* x, int64_t n, float scale, float* top);
void score_derivatives(float* s, float* dp, int64_t n, float scale, const float* log_sums,
                       const float* d);
void silu_mul_backward(const float* g, const float* u, const float* dh, float weight, int64_t n,
                       float* dg, float* du, float* h);
void rms_norm_backward(const float* x, const float* w, const float* dy, float eps, int64_t n,
                       bool add, float* dx, float* dw);
// Also of use to inference.
void silu_mul(const float* gate, const float* up, int64_t n, float* y);
void add_scaled(float a, const float* x, int64_t n, float* y);
void float_to_bf16(const float* x, int64_t n, uint16_t* y);

}  // namespace hadal::kernels::HADAL_WIDE
