// Products of operands for training, and their packing.
#include <algorithm>
#include <cstring>

#include "base/scalar.h"
#include "kernels/flush.h"
#include "kernels/ref/ref.h"

namespace hadal::kernels::ref {
namespace {

template <class T>
T at(const Operand& m, int64_t row, int64_t col) {
  return static_cast<const T*>(m.data)[row * m.stride + col];
}

// Element (k, c) of panels.
const float* float_at(const PanelProduct& m, int64_t k, int64_t c) {
  const char* panel = static_cast<const char*>(m.b) + c / product_panel * m.panel_stride;
  return reinterpret_cast<const float*>(panel) + k * product_panel + c % product_panel;
}
float bf16_at(const PanelProduct& m, int64_t k, int64_t c) {
  const char* panel = static_cast<const char*>(m.b) + c / product_panel * m.panel_stride;
  return bf16_to_float(reinterpret_cast<const uint16_t*>(
      panel)[k / 2 * 2 * product_panel + c % product_panel * 2 + k % 2]);
}

float add_floats(const PanelProduct& m, int64_t r, int64_t c, float sum) {
  for (int64_t k = 0; k < m.a.cols; ++k)
    sum = __builtin_fmaf(at<float>(m.a, r, k), *float_at(m, k, c), sum);
  return sum;
}

float add_tiles(const PanelProduct& m, int64_t r, int64_t c, float sum) {
  for (int64_t k = 0; k < m.a.cols; k += product_step) {
    float even = 0.0f, odd = 0.0f;
    const int64_t end = std::min(m.a.cols, k + product_step);
    for (int64_t i = k; i < end; ++i) {
      float& chain = i % 2 == 0 ? even : odd;
      chain = fma_flushed(bf16_to_float(at<uint16_t>(m.a, r, i)), bf16_at(m, i, c), chain);
    }
    sum = add_flushed(sum, add_flushed(even, odd));
  }
  return sum;
}

template <class T>
void pack_panels(const Packing& p, bool transposed) {
  const int64_t k_size = transposed ? p.from.cols : p.from.rows;
  const int64_t cols = transposed ? p.from.rows : p.from.cols;
  const int64_t group = sizeof(T) == 2 ? 2 : 1;  // of k that lie together
  for (int64_t c = 0; c < cols; c += product_panel) {
    auto* panel = reinterpret_cast<T*>(static_cast<char*>(p.out) + c / product_panel * p.stride);
    std::memset(panel, 0, static_cast<size_t>(panel_bytes(p.from.type, k_size)));
    for (int64_t k = 0; k < k_size; ++k)
      for (int64_t i = 0; i < std::min(product_panel, cols - c); ++i)
        panel[k / group * group * product_panel + i * group + k % group] =
            transposed ? at<T>(p.from, c + i, k) : at<T>(p.from, k, c + i);
  }
}

template <class T>
void transpose_as(const Packing& p) {
  constexpr int64_t block = 16;  // of rows: their lines stay in the nearest cache
  const int64_t end = (p.from.rows + product_step - 1) / product_step * product_step;
  auto* out = static_cast<T*>(p.out);
  for (int64_t r = 0; r < end; r += block)
    for (int64_t c = 0; c < p.from.cols; ++c)
      for (int64_t i = r; i < r + block; ++i)
        out[c * p.stride + i] = i < p.from.rows ? at<T>(p.from, i, c) : T{0};
}

}  // namespace

void product(const PanelProduct& m) {
  for (int64_t r = 0; r < m.a.rows; ++r)
    for (int64_t c = 0; c < m.cols; ++c) {
      float& y = m.y[r * m.y_stride + c];
      const float start = m.add ? y : 0.0f;
      y = m.a.type == quant::Type::BF16 ? add_tiles(m, r, c, start) : add_floats(m, r, c, start);
    }
}

void pack_rows(const Packing& p) {
  p.from.type == quant::Type::BF16 ? pack_panels<uint16_t>(p, false) : pack_panels<float>(p, false);
}

void pack_columns(const Packing& p) {
  p.from.type == quant::Type::BF16 ? pack_panels<uint16_t>(p, true) : pack_panels<float>(p, true);
}

void transpose(const Packing& p) {
  p.from.type == quant::Type::BF16 ? transpose_as<uint16_t>(p) : transpose_as<float>(p);
}

}  // namespace hadal::kernels::ref
