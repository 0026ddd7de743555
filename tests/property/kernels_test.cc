// An output of a product depends on its row and its activation alone: not on the other activations
// of the call, nor on the rows beside it.
#include "kernels/kernels.h"

#include <vector>

#include <gtest/gtest.h>

#include "unit/kernels/random_matrix.h"

namespace hadal::kernels {
namespace {

class Products : public testing::TestWithParam<quant::Type> {};

std::vector<float> product(const RandomMatrix& w, const Activations& x, Activation form,
                           int64_t first_token, int64_t n, int64_t row_begin, int64_t row_end) {
  const int64_t rows = row_end - row_begin;
  std::vector<float> y(static_cast<size_t>(n * rows));
  active().matmul({&w.matrix, row_begin, row_end, form, x.data + first_token * x.stride, x.stride,
                   n, y.data(), rows});
  return y;
}

void check(quant::Type type, Activation form) {
  std::mt19937 random(21);
  constexpr int64_t rows = 45, tokens = 19;
  const int64_t block = quant::type_info(type).block_weights;
  const int64_t cols = block == 1 ? 1001 : 3 * 256 + (block == 32 ? 96 : 0);
  const RandomMatrix w(type, rows, cols, random);
  const Activations x(active(), form, random_floats(tokens * cols, random), tokens, cols);
  const std::vector<float> whole = product(w, x, form, 0, tokens, 0, rows);
  for (int i = 0; i < 40; ++i) {
    const auto t = static_cast<int64_t>(random() % tokens),
               r = static_cast<int64_t>(random() % rows);
    const auto n = static_cast<int64_t>(1 + random() % static_cast<uint64_t>(tokens - t));
    const auto end = static_cast<int64_t>(r + 1 + random() % static_cast<uint64_t>(rows - r));
    const std::vector<float> part = product(w, x, form, t, n, r, end);
    for (int64_t a = 0; a < n; ++a) {
      for (int64_t b = 0; b < end - r; ++b) {
        ASSERT_EQ(float_bits(part[static_cast<size_t>(a * (end - r) + b)]),
                  float_bits(whole[static_cast<size_t>((t + a) * rows + r + b)]))
            << "tokens " << t << " + " << n << ", rows " << r << " to " << end;
      }
    }
  }
}

TEST_P(Products, DoNotDependOnTheirNeighbours) {
  check(GetParam(), Activation::f32);
  if (native_activation(GetParam()) != Activation::f32) {
    check(GetParam(), native_activation(GetParam()));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Products, testing::ValuesIn(all_types),
                         [](const auto& p) { return std::string(quant::type_info(p.param).name); });

}  // namespace
}  // namespace hadal::kernels
