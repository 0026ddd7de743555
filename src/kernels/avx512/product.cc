// Products of operands by vectors: lanes are the sixteen columns of a panel.
#include "kernels/avx512/product_entries.h"
#include "kernels/flush.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

using quant::Type;

// Of k that go through the nearest cache together: two panels of them are 32 KB.
constexpr int64_t k_block = 256;

struct Block {
  const float* a;
  int64_t a_stride;
  const char* b;
  int64_t panel_stride;
  int64_t k;
  float* y;
  int64_t y_stride;
  int64_t cols;  // of both panels
  bool add;
};

HADAL_OP int count_of(const Block& o, int panel) {
  const int64_t left = o.cols - product_panel * panel;
  return static_cast<int>(left < product_panel ? left : product_panel);
}

// 12 rows and two panels are 24 sums, which leaves registers for both panels' row and a factor.
template <int rows, int panels>
HADAL_OP void multiply(const Block& o) {
  Floats sums[rows][panels];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int p = 0; p < panels; ++p)
      sums[r][p] = o.add
                       ? load_floats_first(o.y + r * o.y_stride + product_panel * p, count_of(o, p))
                       : zero_floats();
  const auto* b = reinterpret_cast<const float*>(o.b);
  const int64_t next = o.panel_stride / 4;
  for (int64_t k = 0; k < o.k; ++k, b += product_panel) {
    Floats w[panels];
#pragma GCC unroll 2
    for (int p = 0; p < panels; ++p) w[p] = load_floats(b + p * next);
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
      const Floats x = set_floats(o.a[r * o.a_stride + k]);
#pragma GCC unroll 2
      for (int p = 0; p < panels; ++p) sums[r][p] = fma(x, w[p], sums[r][p]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int p = 0; p < panels; ++p)
      store_floats_first(o.y + r * o.y_stride + product_panel * p, count_of(o, p), sums[r][p]);
}

// As many blocks of `rows` rows as there are of `left`; moves on behind them.
template <int rows, int panels>
void multiply_blocks(Block& o, int64_t& left) {
  for (; left >= rows; left -= rows, o.a += rows * o.a_stride, o.y += rows * o.y_stride)
    multiply<rows, panels>(o);
}

template <int panels>
void multiply_rows(Block o, int64_t rows) {
  multiply_blocks<12, panels>(o, rows);
  multiply_blocks<4, panels>(o, rows);
  multiply_blocks<1, panels>(o, rows);
}

void product_floats(const PanelProduct& m) {
  for (int64_t k = 0; k == 0 || k < m.a.cols; k += k_block) {
    const int64_t size = m.a.cols - k < k_block ? m.a.cols - k : k_block;
    for (int64_t c = 0; c < m.cols; c += 2 * product_panel) {
      const Block o = {static_cast<const float*>(m.a.data) + k,
                       m.a.stride,
                       static_cast<const char*>(m.b) + c / product_panel * m.panel_stride + 64 * k,
                       m.panel_stride,
                       size,
                       m.y + c,
                       m.y_stride,
                       m.cols - c,
                       m.add || k > 0};
      if (m.cols - c > product_panel)
        multiply_rows<2>(o, m.a.rows);
      else
        multiply_rows<1>(o, m.a.rows);
    }
  }
}

// `rows` rows of BF16 with one panel, as tiles add them.
template <int rows>
void dot_rows(const PanelProduct& m, int64_t row, int64_t c) {
  const int64_t left = m.cols - c;
  const int count = static_cast<int>(left < product_panel ? left : product_panel);
  const char* b = static_cast<const char*>(m.b) + c / product_panel * m.panel_stride;
  float* y = m.y + row * m.y_stride + c;
  Floats sums[rows];
  for (int r = 0; r < rows; ++r)
    sums[r] = m.add ? load_floats_first(y + r * m.y_stride, count) : zero_floats();
  const Ints high = set32(static_cast<int32_t>(0xffff0000u));
  for (int64_t k = 0; k < m.a.cols; k += product_step) {
    Floats even[rows], odd[rows];
    for (int r = 0; r < rows; ++r) even[r] = odd[r] = zero_floats();
    for (int64_t i = 0; i < 16; ++i, b += 64) {
      const Ints w = load(b);
      const Floats w0 = as_floats(shift_left32<16>(w)), w1 = as_floats(bit_and(w, high));
      for (int r = 0; r < rows; ++r) {
        uint32_t pair;
        __builtin_memcpy(
            &pair, static_cast<const uint16_t*>(m.a.data) + (row + r) * m.a.stride + k + 2 * i, 4);
        even[r] = fma_flushed(set_floats(bits_float(pair << 16)), w0, even[r]);
        odd[r] = fma_flushed(set_floats(bits_float(pair & 0xffff0000u)), w1, odd[r]);
      }
    }
    for (int r = 0; r < rows; ++r) sums[r] = add_flushed(sums[r], add_flushed(even[r], odd[r]));
  }
  for (int r = 0; r < rows; ++r) store_floats_first(y + r * m.y_stride, count, sums[r]);
}

void product_bf16(const PanelProduct& m) {
  const FlushSubnormals flush;
  for (int64_t c = 0; c < m.cols; c += product_panel) {
    int64_t row = 0;
    for (; row + 4 <= m.a.rows; row += 4) dot_rows<4>(m, row, c);
    for (; row < m.a.rows; ++row) dot_rows<1>(m, row, c);
  }
}

}  // namespace

void product(const PanelProduct& m) {
  m.a.type == Type::BF16 ? product_bf16(m) : product_floats(m);
}

}  // namespace hadal::kernels::HADAL_WIDE
