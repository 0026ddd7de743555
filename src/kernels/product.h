// Products for training: y = a b with both operands in BF16 or F32, a's rows as they lie and b in
// panels of sixteen columns, packed once for many products. Plain code: every kernel file may
// include it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quant/type.h"

namespace hadal::kernels {

constexpr int64_t product_panel = 16;  // columns
constexpr int64_t product_step = 32;   // of k: BF16 panels are padded to a multiple of it

// Bytes of a panel: BF16 [k / 32][16 pairs of k][16 columns][2], zeros behind k; F32 [k][16].
// Columns behind the last have zeros.
static inline int64_t panel_bytes(quant::Type type, int64_t k) {
  return type == quant::Type::BF16 ? (k + product_step - 1) / product_step * 1024 : k * 64;
}
static inline int64_t panels_bytes(quant::Type type, int64_t k, int64_t cols) {
  return (cols + product_panel - 1) / product_panel * panel_bytes(type, k);
}

// A matrix of BF16 or F32 numbers.
struct Operand {
  quant::Type type;
  const void* data;
  int64_t stride;  // elements between rows
  int64_t rows;
  int64_t cols;
};

// y[r * y_stride + c] = (add ? y : +0) + sum over k of a[r][k] b[k][c] for r < a.rows, c < cols.
// k is a.cols. BF16: the sum is that of tiles, begun with y (docs/numerics.md: tile dot); rows of a
// must be readable and finite up to a multiple of 32 elements. F32: y = fma(a[k], b[k], y), k in
// order.
struct PanelProduct {
  Operand a;
  const void* b;         // panels
  int64_t panel_stride;  // bytes
  int64_t cols;
  float* y;
  int64_t y_stride;
  bool add;
};

// Where panels or a transposed matrix go.
struct Packing {
  Operand from;
  void* out;
  int64_t stride;  // bytes between panels; of a transposition, elements between rows
};

}  // namespace hadal::kernels
