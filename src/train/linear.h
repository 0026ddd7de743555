// Products with trained matrices and their derivatives. All of them are one kernel
// (kernels/product.h) with other operands:
//   y  = x W^T     panels of W's columns, rows x
//   dx = dy W      panels of W's rows,    rows dy
//   dW = dy^T x    panels of x,           rows of dy transposed
// in F32, or in BF16 with F32 sums. W is packed for both once after each step of the optimizer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "train/parameters.h"
#include "train/rows.h"

namespace hadal::train {

// The second operand of products [k, cols].
struct Panels {
  const std::byte* data = nullptr;
  int64_t stride = 0;  // bytes
  int64_t k = 0, cols = 0;
};

// y [x.rows, panels.cols] = x panels (added to y if add), on this thread.
inline void product(const Context& context, const Operand& x, const Panels& panels, float* y,
                    int64_t y_stride, bool add = false) {
  context.kernels.product({x, panels.data, panels.stride, panels.cols, y, y_stride, add});
}

// A matrix [rows, cols] and perhaps a bias [rows].
class Linear {
 public:
  Linear() = default;
  Linear(Parameters& parameters, const std::string& name, int64_t rows, int64_t cols,
         bool bias = false);

  // Takes the values from a checkpoint of any number format; one that is frozen keeps the matrix,
  // whose memory must outlive it.
  void load(const Context& context, const kernels::Matrix& matrix,
            std::span<const float> bias = {});
  // Makes the operands from the values: after loading and after each step of the optimizer.
  void refresh(const Context& context);

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  explicit operator bool() const { return weight_ != nullptr; }
  Parameter& weight() const { return *weight_; }
  Parameter* bias() const { return bias_; }

  // y [x.rows, rows] = x W^T + bias, without it if added to y; and dx [dy.rows, cols] = dy W. On
  // this thread.
  void forward(const Context& context, const Operand& x, float* y, int64_t y_stride,
               bool add = false) const;
  void backward(const Context& context, const Operand& dy, float* dx, int64_t dx_stride,
                bool add = false) const {
    product(context, dy, backward_, dx, dx_stride, add);
  }

 private:
  Parameter* weight_ = nullptr;
  Parameter* bias_ = nullptr;
  int64_t rows_ = 0, cols_ = 0;
  Panels forward_, backward_;
  const void* packed_ = nullptr;  // the frozen matrix that they were made from
  std::shared_ptr<Buffer> storage_ = std::make_shared<Buffer>();
};

// Throw Error(format) if the sizes differ: parameters are made for the model that they are loaded
// from.
void load_values(Parameter& parameter, std::span<const float> values);
void load_matrix(const Context& context, Parameter& parameter, const kernels::Matrix& matrix);

// One gradient of a weight: weight.gradient += dy^T x. Of a weight with adapters theirs instead:
// a.gradient += scale b^T dy^T x, b.gradient += scale dy^T x a^T, by way of dy b and x a^T, which
// are narrow.
struct WeightGradient {
  Parameter* weight;  // [rows, cols]
  Operand x;          // [n, cols]
  Operand dy;         // [n, rows]
};
// All of them, dealt out to the threads together. Those of frozen weights without adapters are
// left out.
void accumulate_gradients(const Context& context, std::span<const WeightGradient> gradients);

}  // namespace hadal::train
