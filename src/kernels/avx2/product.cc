// Products of F32 operands: a panel is two registers. BF16 is the reference's: machines without
// tiles train on floats.
#include "kernels/avx2/simd.h"
#include "kernels/tables.h"

namespace hadal::kernels::avx2 {
namespace {

// Of k that go through the nearest cache together: a panel of them is 16 KB.
constexpr int64_t k_block = 256;

struct Block {
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t k;
  float* y;
  int64_t y_stride;
  bool add;
};

// Six rows and a panel are twelve sums.
template <int rows>
void multiply(const Block& o) {
  __m256 sums[rows][2];
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r) {
    const float* y = o.y + r * o.y_stride;
    sums[r][0] = o.add ? _mm256_loadu_ps(y) : _mm256_setzero_ps();
    sums[r][1] = o.add ? _mm256_loadu_ps(y + 8) : _mm256_setzero_ps();
  }
  const float* b = o.b;
  for (int64_t k = 0; k < o.k; ++k, b += product_panel) {
    const __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
    for (int r = 0; r < rows; ++r) {
      const __m256 x = _mm256_broadcast_ss(o.a + r * o.a_stride + k);
      sums[r][0] = _mm256_fmadd_ps(x, b0, sums[r][0]);
      sums[r][1] = _mm256_fmadd_ps(x, b1, sums[r][1]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r) {
    _mm256_storeu_ps(o.y + r * o.y_stride, sums[r][0]);
    _mm256_storeu_ps(o.y + r * o.y_stride + 8, sums[r][1]);
  }
}

// The last panel, if it has fewer than sixteen columns, by way of whole rows.
template <int rows>
void multiply_part(const Block& o, int64_t columns) {
  alignas(32) float sums[rows * product_panel] = {};
  Block whole = o;
  whole.y = sums;
  whole.y_stride = product_panel;
  const auto bytes = static_cast<size_t>(columns) * 4;
  for (int r = 0; o.add && r < rows; ++r)
    __builtin_memcpy(sums + r * product_panel, o.y + r * o.y_stride, bytes);
  multiply<rows>(whole);
  for (int r = 0; r < rows; ++r)
    __builtin_memcpy(o.y + r * o.y_stride, sums + r * product_panel, bytes);
}

template <int rows>
void multiply_rows(Block& o, int64_t& left, int64_t columns) {
  for (; left >= rows; left -= rows, o.a += rows * o.a_stride, o.y += rows * o.y_stride) {
    if (columns >= product_panel)
      multiply<rows>(o);
    else
      multiply_part<rows>(o, columns);
  }
}

}  // namespace

void product(const PanelProduct& m) {
  if (m.a.type == quant::Type::BF16) return ref_table().product(m);
  for (int64_t k = 0; k < m.a.cols; k += k_block) {
    const int64_t size = m.a.cols - k < k_block ? m.a.cols - k : k_block;
    for (int64_t c = 0; c < m.cols; c += product_panel) {
      const char* panel = static_cast<const char*>(m.b) + c / product_panel * m.panel_stride;
      Block o = {static_cast<const float*>(m.a.data) + k,
                 m.a.stride,
                 reinterpret_cast<const float*>(panel) + k * product_panel,
                 size,
                 m.y + c,
                 m.y_stride,
                 m.add || k > 0};
      int64_t left = m.a.rows;
      multiply_rows<6>(o, left, m.cols - c);
      multiply_rows<2>(o, left, m.cols - c);
      multiply_rows<1>(o, left, m.cols - c);
    }
  }
}

}  // namespace hadal::kernels::avx2
