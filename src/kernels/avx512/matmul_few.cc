// dot16 products of Q8_0 weights with a few activations, as an expert has them: two rows are
// brought to floats in registers, once for up to eight activations. That is cheaper than a panel of
// floats in memory until about sixteen activations share it.
#include "kernels/avx512/float_entries.h"
#include "kernels/avx512/lanes.h"
#include "kernels/tables.h"

namespace hadal::kernels::HADAL_WIDE {
namespace {

constexpr int64_t block_weights = 32, block_bytes = 34;
constexpr int rows_once = 2;
constexpr int tokens_once = 8;
constexpr int64_t ahead = 1024;  // bytes

// Rows `row` and, if there is one, the next, with T activations from t0 on.
template <int T>
__attribute__((noinline)) void multiply(const Matmul& m, int64_t row, int64_t t0) {
  const int rows = row + 1 < m.row_end ? 2 : 1;
  const char* w[rows_once];
  w[0] = static_cast<const char*>(m.w->data) + row * m.w->row_bytes;
  w[1] = w[0] + (rows - 1) * m.w->row_bytes;
  const char* x = static_cast<const char*>(m.x) + t0 * m.x_stride;
  Floats sum[rows_once][tokens_once];
#pragma GCC unroll 2
  for (int r = 0; r < rows_once; ++r) {
#pragma GCC unroll 8
    for (int t = 0; t < tokens_once; ++t) sum[r][t] = zero_floats();
  }
  for (int64_t b = 0; b < m.w->cols / block_weights; ++b) {
    prefetch_near(w[1] + ahead);
    const Floats d[rows_once] = {broadcast_f16(w[0]), broadcast_f16(w[1])};
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      Floats ws[rows_once];
#pragma GCC unroll 2
      for (int r = 0; r < rows_once; ++r)
        ws[r] = in_register(mul_floats(d[r], to_floats(load_i8_as_i32(w[r] + 2 + 16 * half))));
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const Floats xs = in_register(
            load_floats(reinterpret_cast<const float*>(x + t * m.x_stride) + 16 * half));
#pragma GCC unroll 2
        for (int r = 0; r < rows_once; ++r) sum[r][t] = fma(ws[r], xs, sum[r][t]);
      }
    }
    w[0] += block_bytes;
    w[1] += block_bytes;
    x += block_weights * 4;
  }
  alignas(64) float outputs[rows_once][16];
#pragma GCC unroll 2
  for (int r = 0; r < rows_once; ++r) store_floats(outputs[r], add_lanes(sum[r]));
  float* y = m.y + t0 * m.y_stride + row - m.row_begin;
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    y[t * m.y_stride] = outputs[0][t];
    if (rows == 2) y[t * m.y_stride + 1] = outputs[1][t];
  }
}

template <int T>
void all_rows(const Matmul& m, int64_t t0) {
  for (int64_t row = m.row_begin; row < m.row_end; row += rows_once) multiply<T>(m, row, t0);
}

}  // namespace

void matmul_few(const Matmul& m) {
  const int64_t parts = (m.n + tokens_once - 1) / tokens_once;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t t0 = m.n * part / parts;
    switch (m.n * (part + 1) / parts - t0) {
      case 4:
        all_rows<4>(m, t0);
        break;
      case 5:
        all_rows<5>(m, t0);
        break;
      case 6:
        all_rows<6>(m, t0);
        break;
      case 7:
        all_rows<7>(m, t0);
        break;
      default:
        all_rows<8>(m, t0);
    }
  }
}

}  // namespace hadal::kernels::HADAL_WIDE
