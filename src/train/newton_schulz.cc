#include "train/newton_schulz.h"

#include <algorithm>
#include <cmath>

namespace hadal::train {
namespace {

constexpr float a = 3.4445f, b = -4.7750f, c = 2.0315f;
constexpr int steps = 5;

void transpose_floats(const float* in, int64_t rows, int64_t cols, float* out) {
  constexpr int64_t block = 16;
  for (int64_t r = 0; r < rows; r += block)
    for (int64_t k = 0; k < cols; ++k)
      for (int64_t i = r; i < std::min(rows, r + block); ++i) out[k * rows + i] = in[i * cols + k];
}

}  // namespace

kernels::Matrix NewtonSchulz::operand(const Context& context, const float* x, int64_t rows,
                                      int64_t cols, Buffer& storage) {
  const quant::Type type = operand_type(context);
  if (type == quant::Type::F32)
    return {type, x, rows, cols, cols * static_cast<int64_t>(sizeof(float)), nullptr, 0};
  auto* copy = reinterpret_cast<uint16_t*>(storage.bytes(rows * cols * 2));
  context.kernels.float_to_bf16(x, rows * cols, copy);
  return {type, copy, rows, cols, cols * 2, nullptr, 0};
}

void NewtonSchulz::run(const Context& given, int64_t rows, int64_t cols, float* x) {
  const Context context{given.kernels, alone_, given.precision};
  const int64_t n = std::min(rows, cols), k = std::max(rows, cols), count = n * k;
  float* m = x;  // [n, k]: the shorter side first, so that A is small
  if (rows > cols) {
    m = x_.get(count);
    transpose_floats(x, rows, cols, m);
  }
  // In BF16 everything that is kept is rounded, as the reference does (torch.optim.Muon): two
  // computations that round differently end 4% apart.
  const auto round = [&](float* values, int64_t n_values) {
    if (operand_type(context) == quant::Type::BF16) context.kernels.round_bf16(values, n_values);
  };
  double squares = 0;
  round(m, count);
  for (int64_t i = 0; i < count; ++i) squares += static_cast<double>(m[i] * m[i]);
  auto norm = static_cast<float>(std::max(std::sqrt(squares), 1e-7));
  round(&norm, 1);
  const float scale = 1.0f / norm;
  for (int64_t i = 0; i < count; ++i) m[i] *= scale;
  round(m, count);

  float* gram = products_.get(2 * n * n + 2 * count);  // [n, n]
  float* gram_squared = gram + n * n;                  // [n, n]
  float* product = gram_squared + n * n;               // [n, k]
  float* transposed = product + count;                 // [k, n]
  const auto multiply = [&](const float* left, int64_t left_rows, int64_t inner,
                            const kernels::Matrix& right, float* out) {
    input_.set(context, left, inner, left_rows, inner);
    const kernels::Matmul products[] = {
        input_.product(right, 0, right.rows, 0, left_rows, out, right.rows)};
    model::run(context, products);
  };
  for (int step = 0; step < steps; ++step) {
    multiply(m, n, k, operand(context, m, n, k, matrix_), gram);
    round(gram, n * n);
    // A is symmetric: A A^T = A^2.
    multiply(gram, n, n, operand(context, gram, n, n, squares_), gram_squared);
    for (int64_t i = 0; i < n * n; ++i) gram[i] = b * gram[i] + c * gram_squared[i];
    round(gram, n * n);
    transpose_floats(m, n, k, transposed);
    multiply(gram, n, n, operand(context, transposed, k, n, transposed_), product);
    for (int64_t i = 0; i < count; ++i) m[i] = a * m[i] + product[i];
    round(m, count);
  }
  if (rows > cols) transpose_floats(m, n, k, x);
}

}  // namespace hadal::train
