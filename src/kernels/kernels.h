// One table of plain functions that do the arithmetic. kernels/ref fills it with obvious scalar
// code (the oracle); each instruction set overrides the entries it improves. Raw pointers, strides,
// sizes: nothing here throws, allocates or knows a model.
//
// Numeric definitions (docs/numerics.md has them in full). For each output element the order of
// accumulation depends on the length K alone, so results do not change with batch, threads, chunks
// or instruction set:
//   dot16    F32 dot product: 16 lanes, lane l takes k = l, l+16, l+32 ... in order by fma from +0
//            (K is padded with +0 to a multiple of 16); lanes are then added 8 apart, 4 apart,
//            2 apart, 1 apart: l[i] += l[i+8], and so on.
//   q8       a row of weights in an integer format times activations quantised to int8: the integer
//            sum of a block (32, or 256 with the 6-bit scales inside) is exact, then one fma per
//            block, in block order, from +0: acc = fma(d_w * d_x, sum, acc); formats with a minimum
//            do a second fma per block right after it: acc = fma(m_w * d_x, sum of minima, acc).
//   tile     BF16 and FP8 weights times activations rounded to BF16, as AMX adds them: K in steps
//   of
//            32, each two chains of fma over its even and odd elements (kernels/flush.h).
//   axpy     y[c] = fma(x[r], w[r][c], y[c]), r in order.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/product.h"
#include "quant/type.h"

namespace hadal::kernels {

// A matrix [rows, cols], row-major, rows contiguous at row_bytes. FP8: the weight at (r, c) is
// code * scales[(r / 128) * scale_stride + c / 128].
struct Matrix {
  quant::Type type;
  const void* data;
  int64_t rows;
  int64_t cols;
  int64_t row_bytes;
  const float* scales;
  int64_t scale_stride;
};

// How the activations that meet a matrix are held.
enum class Activation : uint8_t {
  f32,     // floats; weights are decoded to float: dot16
  q8_32,   // int8 in blocks of 32, for formats with blocks of 32
  q8_256,  // int8 in blocks of 256, for formats with blocks of 256
  bf16,    // BF16, +0 up to a multiple of 32; for BF16 and FP8 weights: tile
};
constexpr int activation_count = 4;

// y[t * y_stride + (r - row_begin)] = dot(row r of w, x_t), for r in [row_begin, row_end), t in [0,
// n).
struct Matmul {
  const Matrix* w;
  int64_t row_begin;
  int64_t row_end;
  Activation activation;
  const void* x;     // n rows of activations, x_stride bytes apart
  int64_t x_stride;  // bytes
  int64_t n;
  float* y;
  int64_t y_stride;  // floats
};

// Keys or values of n positions that lie one after another (a part of a page of the cache).
struct Rows {
  quant::Type type;  // F32 or BF16
  const void* data;
  int64_t count;
  int64_t stride;  // elements between positions
  // Where as many rows of the kind lie that are read next, or null: scores fetch those of even
  // index ahead, values the others.
  const void* follow = nullptr;
};

// Queries that meet a page of keys and values, all BF16, and what they have gathered so far
// (docs/numerics.md, attention on BF16). Query i sees the first seen + i / per_position positions
// of the page, at most all; one that sees none is left alone.
struct Attend {
  const uint16_t* q;  // as pack_queries leaves them
  int64_t queries;
  int64_t per_position;
  int64_t seen;
  const uint16_t* keys;  // of position j at keys + j * key_stride; elements, as all strides
  int64_t key_stride;
  int64_t width;  // of queries and keys
  const uint16_t* values;
  int64_t value_stride;
  int64_t value_width;
  int64_t positions;  // in the page, 1 to 64
  float scale;        // of scores, log2(e) included
  float* state;       // [queries, 2]: maximum of scaled scores and sum of weights; -infinity, 0
  float* o;           // [queries, value_width], o_stride apart: weighted sum of values; 0
  int64_t o_stride;
  void* scratch;         // attend_scratch_bytes, on 64 bytes
  const void* follow;    // what will be read next: for fetching ahead; or null
  int64_t follow_bytes;  // of it
};

// y[t * y_stride + c] = sum over r < rows of x_t[r] w[r][c], all BF16, as BF16 tiles add it
// (docs/numerics.md: tile). For t < n, c < cols; strides in elements.
struct TransposedBf16 {
  const uint16_t* x;
  int64_t x_stride;
  int64_t n;
  const uint16_t* w;
  int64_t w_stride;
  int64_t rows;
  int64_t cols;
  float* y;
  int64_t y_stride;
  void* scratch;  // transposed_scratch_bytes, on 64 bytes
};

struct Table {
  const char* name;  // "ref", "avx2", "avx512", "amx"

  // ---- products
  void (*products[activation_count])(const Matmul&);  // by Activation
  void matmul(const Matmul& m) const { products[static_cast<int>(m.activation)](m); }
  void set_product(Activation activation, void (*function)(const Matmul&)) {
    products[static_cast<int>(activation)] = function;
  }
  // Many activations are worth packing first, where a table has kernels for it: bytes of n
  // activations of length k packed for weights of this type, or 0 if matmul is the better way. All
  // types that take an activation take it packed alike. Sixteen rows at a time are packed apart:
  // rows [16 i, 16 i + 16) of n lie at i times the bytes of sixteen.
  int64_t (*packed_bytes)(quant::Type type, Activation activation, int64_t k, int64_t n);
  // Packs n rows as matmul takes them; out starts on 64 bytes.
  void (*pack)(Activation activation, const void* x, int64_t x_stride, int64_t n, int64_t k,
               void* out);
  // As matmul, with the same result, where x points to packed activations.
  void (*matmul_packed)(const Matmul&);
  // y[t * y_stride + c] = sum over r in [row_begin, row_end) of x[t * x_stride + r - row_begin] *
  // w[r][c], by axpy from +0 (the product with the transposed matrix). x, y in floats; scratch
  // holds w->cols floats.
  void (*matmul_transposed)(const Matrix* w, int64_t row_begin, int64_t row_end, const float* x,
                            int64_t x_stride, int64_t n, float* y, int64_t y_stride,
                            float* scratch);
  // x must be readable and finite up to the next multiple of 32 elements, and rows of it up to the
  // next multiple of 16.
  void (*transposed_bf16)(const TransposedBf16&);
  // Decodes row r to floats, FP8 scales included (embedding look-up).
  void (*decode_row)(const Matrix* w, int64_t row, float* out);
  // Quantises k finite floats to q8_32 or q8_256 blocks: d = amax / 127, q = round to even (x / d,
  // computed as x * (127 / amax)); blocks with amax < 2^-100 become zero. k is a multiple of the
  // block; out starts on 64 bytes and holds activation_bytes (kernels/activation.h: its parts).
  void (*quantize)(Activation activation, const float* x, int64_t k, void* out);

  // ---- attention
  // s[i * s_stride + j] = scale * dot16(q_i, key_j) over width, for i < queries, j < keys->count.
  void (*attention_scores)(const float* q, int64_t q_stride, int64_t queries, const Rows* keys,
                           int64_t width, float scale, float* s, int64_t s_stride);
  // x[j] = exp(x[j] - max); returns the sum (dot16 lane order). n >= 1. Not divided.
  float (*softmax)(float* x, int64_t n);
  // y_i[c] = fma(p[i * p_stride + j], value_j[c], y_i[c]), j in order, for i < queries, c < width.
  void (*attention_values)(const float* p, int64_t p_stride, int64_t queries, const Rows* values,
                           int64_t width, float* y, int64_t y_stride);
  // The outputs o [pieces, width], o_stride apart, of the pieces of a walk: y = o_0, then
  // y = y * factors[i - 1][0] + o_i * factors[i - 1][1] for i = 1, 2 ..., each product and sum
  // rounded; out = y * last.
  void (*merge)(const float* o, int64_t o_stride, int64_t pieces, const float* factors, float last,
                int64_t width, float* out);

  // Queries [queries, width] of floats, stride apart, rounded to BF16 and packed for attend: groups
  // of 16, out[group][pair][16][2], zeros for what is missing of a group and of 16 pairs.
  // kernels/attend.h tells sizes.
  void (*pack_queries)(const float* q, int64_t stride, int64_t queries, int64_t width,
                       uint16_t* out);
  // Keys must be readable and finite up to the next multiple of 32 elements, and rows up to the
  // next multiple of 16 positions.
  void (*attend)(const Attend&);

  // ---- elementwise
  // y = x * rsqrt(mean(x^2) + eps) * weight, the sum in dot16 order, 1/sqrt as 1.0f / sqrtf.
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* y);
  // Rotates pairs: interleaved (2i, 2i+1) or halves (i, i + n/2). cs holds cos, sin of pair i at
  // [2i], [2i+1]. a' = fma(a, cos, -(b*sin)); b' = fma(a, sin, b*cos). In place.
  void (*rope_interleaved)(float* x, const float* cs, int64_t n);
  void (*rope_halves)(float* x, const float* cs, int64_t n);
  // y = silu(gate) * up, silu(z) = z / (1 + exp(-z)), exp as in softmax. y may be gate.
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* y);
  // y += a * x, by fma.
  void (*add_scaled)(float a, const float* x, int64_t n, float* y);
  // x rounded to BF16 (to nearest even) and back, in place.
  void (*round_bf16)(float* x, int64_t n);
  void (*float_to_bf16)(const float* x, int64_t n, uint16_t* y);
  // Q8_0 blocks of n weights, decoded and rounded to BF16, halves away from zero.
  void (*q8_0_to_bf16)(const void* blocks, int64_t n, uint16_t* y);

  // ---- training (kernels/product.h)
  void (*product)(const PanelProduct&);
  // Panels of b[k][c] = from[k][c], and of b[k][c] = from[c][k]; out starts on 64 bytes.
  void (*pack_rows)(const Packing&);
  void (*pack_columns)(const Packing&);
  // out[c * stride + r] = from[r][c], zeros for r up to a multiple of 32.
  void (*transpose)(const Packing&);
  // dot16 of floats.
  float (*dot)(const float* a, const float* b, int64_t n);
  // y = a * x.
  void (*scale)(float a, const float* x, int64_t n, float* y);
  // top = max of scale * x[j]; x[j] = exp(fma(scale, x[j], -top)); returns the sum as softmax does.
  float (*softmax_scaled)(float* x, int64_t n, float scale, float* top);
  // Scores s and derivatives dp of weights, a query in each column: s[j] = p = exp(fma(scale, s[j],
  // -log_sums[j])), dp[j] = scale * (p * (dp[j] - d[j])).
  void (*score_derivatives)(float* s, float* dp, int64_t n, float scale, const float* log_sums,
                            const float* d);
  // Of h = silu(g) * u with derivative weight * dh: q = 1 / (1 + exp(-g)), s = g * q, e = weight *
  // dh, du = e * s, dg = (e * u) * fma(s, 1 - q, q), h = s * u.
  void (*silu_mul_backward)(const float* g, const float* u, const float* dh, float weight,
                            int64_t n, float* dg, float* du, float* h);
  // Of y = (x * s) * w, s as in rms_norm: t = w * dy, k = s^3 * dot16(t, x) / n,
  // dx (+)= fma(s, t, -(k * x)), dw = fma(s * x, dy, dw). dx may be dy.
  void (*rms_norm_backward)(const float* x, const float* w, const float* dy, float eps, int64_t n,
                            bool add, float* dx, float* dw);
};

// Bytes of k activations, a multiple of 64 (so that rows stay aligned).
int64_t activation_bytes(Activation activation, int64_t k);
// The activation that a weight type is defined with: f32 for F32 and F16, bf16 for BF16 and FP8, an
// integer form for the others.
Activation native_activation(quant::Type type);
// Brings k finite floats into a form; out holds activation_bytes and starts on 64 bytes.
void convert(const Table& table, Activation activation, const float* x, int64_t k, void* out);

// The table of the best instruction set here, or of HADAL_ISA if set to a name. Throws
// Error(usage) if HADAL_ISA names one that this machine or build lacks. Chosen once.
const Table& active();
// A table by name, or nullptr if this build or machine lacks it (for tests and `hadal doctor`).
const Table* table_by_name(const char* name);

}  // namespace hadal::kernels
