#include "train/linear.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/scalar.h"
#include "train/profile.h"

namespace hadal::train {
namespace {

int64_t element_bytes(quant::Type type) {
  return type == quant::Type::BF16 ? 2 : 4;
}

// Rows of operands start on cache lines.
int64_t padded_row(int64_t cols) {
  return (cols + 31) / 32 * 32;
}

template <class T, class Convert>
void transpose_blocks(const float* in, int64_t in_stride, int64_t rows, int64_t cols, T* out,
                      int64_t out_stride, Convert convert) {
  constexpr int64_t block = 16;  // of both: the lines touched stay in the nearest cache
  for (int64_t r = 0; r < rows; r += block) {
    const int64_t r_end = std::min(rows, r + block);
    for (int64_t c = 0; c < cols; ++c)
      for (int64_t i = r; i < r_end; ++i) out[c * out_stride + i] = convert(in[i * in_stride + c]);
  }
}

kernels::Matrix matrix_of(quant::Type type, const void* data, int64_t rows, int64_t cols,
                          int64_t stride) {
  return {type, data, rows, cols, stride * element_bytes(type), nullptr, 0};
}

}  // namespace

quant::Type operand_type(const Context& context) {
  return context.precision == model::Precision::native ? quant::Type::BF16 : quant::Type::F32;
}

void transpose(const Context& context, const float* in, int64_t in_stride, int64_t rows,
               int64_t cols, std::byte* out, int64_t out_stride) {
  if (operand_type(context) == quant::Type::BF16)
    transpose_blocks(in, in_stride, rows, cols, reinterpret_cast<uint16_t*>(out), out_stride,
                     float_to_bf16);
  else
    transpose_blocks(in, in_stride, rows, cols, reinterpret_cast<float*>(out), out_stride,
                     [](float x) { return x; });
}

Linear::Linear(Parameters& parameters, const std::string& name, int64_t rows, int64_t cols,
               bool bias)
    : weight_(&parameters.add(name + ".weight", {rows, cols})),
      bias_(bias ? &parameters.add(name + ".bias", {rows}) : nullptr),
      rows_(rows),
      cols_(cols) {}

void load_values(Parameter& parameter, std::span<const float> values) {
  if (static_cast<int64_t>(values.size()) != parameter.size())
    fail(ErrorKind::format, "{}: {} values, expected {}", parameter.name, values.size(),
         parameter.size());
  std::copy(values.begin(), values.end(), parameter.value);
}

void Linear::load(const Context& context, const kernels::Matrix& matrix,
                  std::span<const float> bias) {
  if (matrix.rows != rows_ || matrix.cols != cols_)
    fail(ErrorKind::format, "{}: [{}, {}], expected [{}, {}]", weight_->name, matrix.rows,
         matrix.cols, rows_, cols_);
  for (int64_t r = 0; r < rows_; ++r)
    context.kernels.decode_row(&matrix, r, weight_->value + r * cols_);
  if (bias_ != nullptr) load_values(*bias_, bias);
}

void Linear::refresh(const Context& context) {
  const quant::Type type = operand_type(context);
  const int64_t stride = padded_row(rows_);
  std::byte* transposed = transposed_storage_->bytes(cols_ * stride * element_bytes(type));
  transpose(context, weight_->value, cols_, rows_, cols_, transposed, stride);
  transposed_ = matrix_of(type, transposed, cols_, rows_, stride);
  if (type == quant::Type::F32) {
    matrix_ = matrix_of(type, weight_->value, rows_, cols_, cols_);
    return;
  }
  auto* copy = reinterpret_cast<uint16_t*>(storage_->bytes(rows_ * cols_ * 2));
  context.kernels.float_to_bf16(weight_->value, rows_ * cols_, copy);
  matrix_ = matrix_of(type, copy, rows_, cols_, cols_);
}

void Linear::forward(const Context& context, const float* x, int64_t n, float* y) const {
  Input input;
  input.set(context, x, cols_, n, cols_);
  const kernels::Matmul products[] = {forward(input, 0, n, y)};
  model::run(context, products);
  if (bias_ == nullptr) return;
  context.pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      context.kernels.add_scaled(1.0f, bias_->value, rows_, y + r * rows_);
  });
}

void Linear::backward(const Context& context, const float* x, const float* dy, int64_t n,
                      float* dx) {
  if (dx != nullptr) {
    Input input;
    input.set(context, dy, rows_, n, rows_);
    const kernels::Matmul products[] = {backward(input, 0, n, dx)};
    model::run(context, products);
  }
  const WeightGradient gradients[] = {{weight_, x, dy, n}};
  accumulate_gradients(context, gradients);
  if (bias_ != nullptr) accumulate_columns(context, dy, n, rows_, bias_->gradient);
}

namespace {

// The transposed operands of one gradient, and where its product goes.
struct GradientTask {
  WeightGradient gradient;
  int64_t rows, cols;
  kernels::Matrix x;  // x^T [cols, n]
  std::byte* dy;      // dy^T [rows, n], as activations
  int64_t dy_stride;  // bytes
  float* product;     // [rows, cols]
};

}  // namespace

void accumulate_gradients(const Context& context, std::span<const WeightGradient> gradients) {
  const Timed timed(Part::gradients);
  const quant::Type type = operand_type(context);
  const int64_t bytes = element_bytes(type);
  std::vector<GradientTask> tasks;
  int64_t operand_bytes = 0;
  int64_t product_size = 0;
  for (const WeightGradient& g : gradients) {
    if (g.n == 0) continue;
    const int64_t rows = g.weight->shape[0];
    const int64_t cols = g.weight->shape[1];
    tasks.push_back({g, rows, cols, {}, nullptr, 0, nullptr});
    operand_bytes += (rows + cols) * padded_row(g.n) * bytes;
    product_size += rows * cols;
  }
  Buffer operands;
  Buffer products;
  std::byte* operand = operands.bytes(operand_bytes);
  std::fill_n(operand, operand_bytes, std::byte{0});  // what pads a row counts
  float* product = products.get(product_size);
  std::vector<kernels::Matmul> matmuls;
  for (GradientTask& t : tasks) {
    const int64_t stride = padded_row(t.gradient.n);
    t.x = matrix_of(type, operand, t.cols, t.gradient.n, stride);
    operand += t.cols * stride * bytes;
    t.dy = operand;
    t.dy_stride = stride * bytes;
    operand += t.rows * t.dy_stride;
    t.product = product;
    product += t.rows * t.cols;
    matmuls.push_back({&t.x, 0, t.cols, model::activation_for(context.precision, type), t.dy,
                       t.dy_stride, t.rows, t.product, t.cols});
  }
  constexpr int64_t columns = 64;  // of one piece of a transposition
  const auto pieces = [](int64_t cols) { return (cols + columns - 1) / columns; };
  for (const GradientTask& t : tasks) {
    const int64_t x_pieces = pieces(t.cols);
    context.pool.parallel_for(x_pieces + pieces(t.rows), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const bool is_x = i < x_pieces;
        const int64_t width = is_x ? t.cols : t.rows;
        const int64_t first = (is_x ? i : i - x_pieces) * columns;
        const int64_t stride = padded_row(t.gradient.n);
        auto* out = is_x ? static_cast<std::byte*>(const_cast<void*>(t.x.data)) : t.dy;
        transpose(context, (is_x ? t.gradient.x : t.gradient.dy) + first, width, t.gradient.n,
                  std::min(columns, width - first), out + first * stride * bytes, stride);
      }
    });
  }
  model::run(context, matmuls);
  for (const GradientTask& t : tasks) {
    context.pool.parallel_for(t.rows, 16, [&](int64_t begin, int64_t end, int) {
      context.kernels.add_scaled(1.0f, t.product + begin * t.cols, (end - begin) * t.cols,
                                 t.gradient.weight->gradient + begin * t.cols);
    });
  }
}

void accumulate_columns(const Context& context, const float* x, int64_t n, int64_t cols,
                        float* gradient) {
  context.pool.parallel_for(cols, 64, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = 0; r < n; ++r)
      context.kernels.add_scaled(1.0f, x + r * cols + begin, end - begin, gradient + begin);
  });
}

}  // namespace hadal::train
