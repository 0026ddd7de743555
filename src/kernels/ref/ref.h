// The reference: obvious scalar code, the oracle of every other table.
#pragma once

#include "kernels/kernels.h"

namespace hadal::kernels::ref {

float dot16(const float* a, const float* b, int64_t k);
// Row `row` of w times quantised activations x, in the type's own definition.
float dot_quantised(const Matrix& w, int64_t row, const void* x);

// By Activation: f32; q8_32 and q8_256; bf16.
void matmul_float(const Matmul& m);
void matmul_quantised(const Matmul& m);
void matmul_bf16(const Matmul& m);
// Nothing is worth packing here: 0.
int64_t packed_bytes(quant::Type type, Activation activation, int64_t k, int64_t n);
void matmul_transposed(const Matrix* w, int64_t row_begin, int64_t row_end, const float* x,
                       int64_t x_stride, int64_t n, float* y, int64_t y_stride, float* scratch);
void decode_row(const Matrix* w, int64_t row, float* out);
void quantize(Activation activation, const float* x, int64_t k, void* out);

void attention_scores(const float* q, int64_t q_stride, int64_t queries, const Rows* keys,
                      int64_t width, float scale, float* s, int64_t s_stride);
float softmax(float* x, int64_t n);
void attention_values(const float* p, int64_t p_stride, int64_t queries, const Rows* values,
                      int64_t width, float* y, int64_t y_stride);

void merge(const float* o, int64_t o_stride, int64_t pieces, const float* factors, float last,
           int64_t width, float* out);

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
void pack_rows(const Packing& p);
void pack_columns(const Packing& p);
void transpose(const Packing& p);
float dot(const float* a, const float* b, int64_t n);
void scale(float a, const float* x, int64_t n, float* y);
float softmax_scaled(float* x, int64_t n, float scale, float* top);
void score_derivatives(float* s, float* dp, int64_t n, float scale, const float* log_sums,
                       const float* d);
void silu_mul_backward(const float* g, const float* u, const float* dh, float weight, int64_t n,
                       float* dg, float* du, float* h);
void rms_norm_backward(const float* x, const float* w, const float* dy, float eps, int64_t n,
                       bool add, float* dx, float* dw);

}  // namespace hadal::kernels::ref
