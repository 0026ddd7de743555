// Products with trained matrices and their derivatives. All of them, the gradients of the weights
// included, are the product of serving (kernels::Table::matmul) with other operands:
//   y  = x W^T     the matrix W,   rows x
//   dx = dy W      the matrix W^T, rows dy
//   dW = dy^T x    the matrix x^T, rows dy^T
// so one set of fast kernels serves all three, in F32 or in BF16 with F32 sums.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "model/linear.h"
#include "train/parameters.h"

namespace hadal::train {

using model::Buffer;
using model::Context;
using model::Input;

// The number format of a context's operands: F32, or BF16 under Precision::native.
quant::Type operand_type(const Context& context);

// out[c * out_stride + r] = in[r * in_stride + c] for r < rows, c < cols, in the operands' format;
// strides in elements. One thread.
void transpose(const Context& context, const float* in, int64_t in_stride, int64_t rows,
               int64_t cols, std::byte* out, int64_t out_stride);

// A matrix [rows, cols] and perhaps a bias [rows].
class Linear {
 public:
  Linear() = default;
  Linear(Parameters& parameters, const std::string& name, int64_t rows, int64_t cols,
         bool bias = false);

  // Takes the values from a checkpoint of any number format.
  void load(const Context& context, const kernels::Matrix& matrix,
            std::span<const float> bias = {});
  // Makes the operands from the values: after loading and after each step of the optimizer.
  void refresh(const Context& context);

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  explicit operator bool() const { return weight_ != nullptr; }
  Parameter& weight() const { return *weight_; }

  // y [n, rows] for rows [first, first + n) of x; to be run with others by model::run.
  kernels::Matmul forward(Input& x, int64_t first, int64_t n, float* y) const {
    return x.product(matrix_, 0, rows_, first, n, y, rows_);
  }
  // dx [n, cols] for rows of dy, likewise.
  kernels::Matmul backward(Input& dy, int64_t first, int64_t n, float* dx) const {
    return dy.product(transposed_, 0, cols_, first, n, dx, cols_);
  }
  // The whole of y = x W^T + bias; x [n, cols], y [n, rows].
  void forward(const Context& context, const float* x, int64_t n, float* y) const;
  // dx = dy W (null: not wanted), and the gradients of weight and bias grow.
  void backward(const Context& context, const float* x, const float* dy, int64_t n, float* dx);

 private:
  Parameter* weight_ = nullptr;
  Parameter* bias_ = nullptr;
  int64_t rows_ = 0, cols_ = 0;
  kernels::Matrix matrix_{}, transposed_{};
  std::shared_ptr<Buffer> storage_ = std::make_shared<Buffer>();
  std::shared_ptr<Buffer> transposed_storage_ = std::make_shared<Buffer>();
};

// Throws Error(format) if the sizes differ: parameters are made for the model that they are loaded
// from.
void load_values(Parameter& parameter, std::span<const float> values);

// One gradient of a weight: weight.gradient += dy^T x.
struct WeightGradient {
  Parameter* weight;  // [rows, cols]
  const float* x;     // [n, cols]
  const float* dy;    // [n, rows]
  int64_t n;
};
// All of them, dealt out to the threads together.
void accumulate_gradients(const Context& context, std::span<const WeightGradient> gradients);

// gradient[c] += sum over rows of x[r][c], rows in order.
void accumulate_columns(const Context& context, const float* x, int64_t n, int64_t cols,
                        float* gradient);

}  // namespace hadal::train
