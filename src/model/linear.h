// Products of activations with weight matrices: the input is brought once into each form that the
// weights ask for, and all products of a step are dealt out to the threads together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "model/buffer.h"
#include "model/forward.h"

namespace hadal::model {

// What every part of the forward pass needs.
struct Context {
  const kernels::Table& kernels;
  ThreadPool& pool;
  Precision precision;
};

// The same without rounding of inputs: for the parts that Precision::bf16 leaves in F32.
inline Context unrounded(Context context) {
  if (context.precision == Precision::bf16) context.precision = Precision::f32;
  return context;
}

// The input x [n, k] of one or more products.
class Input {
 public:
  // x must stay valid and unchanged until the last product; stride in floats.
  void set(const Context& context, const float* x, int64_t stride, int64_t n, int64_t k);
  // Row i is row rows[i] of `from`, whose conversions are shared.
  void gather(const Context& context, Input& from, std::span<const int32_t> rows);

  // A product of rows [first_row, first_row + n) of this input with rows [row_begin, row_end) of w;
  // y [n, row_end - row_begin], y_stride in floats.
  kernels::Matmul product(const Matrix& w, int64_t row_begin, int64_t row_end, int64_t first_row,
                          int64_t n, float* y, int64_t y_stride);
  // The same with all rows of both.
  kernels::Matmul product(const Matrix& w, float* y, int64_t y_stride) {
    return product(w, 0, w.rows, 0, n_, y, y_stride);
  }

 private:
  struct Form {
    Buffer storage;
    const std::byte* data = nullptr;  // null: not made yet
    int64_t stride = 0;               // bytes
  };
  const Form& form(kernels::Activation activation);
  void convert(kernels::Activation activation, Form& form);

  const Context* context_ = nullptr;
  const float* x_ = nullptr;
  int64_t stride_ = 0, n_ = 0, k_ = 0;
  Input* from_ = nullptr;
  std::span<const int32_t> rows_;
  Form forms_[kernels::activation_count];
};

// The form in which activations meet weights of this type.
kernels::Activation activation_for(Precision precision, quant::Type type);

// Rows [n, k] of floats, x_stride apart, in the form that products take. `storage` holds them where
// they cannot stay where they are.
struct Prepared {
  const void* data;
  int64_t stride;  // bytes
};
Prepared prepare(const Context& context, kernels::Activation activation, const float* x,
                 int64_t x_stride, int64_t n, int64_t k, Buffer& storage);

// The same to `out`, rows out_stride bytes apart (activation_bytes of k).
void prepare_rows(const Context& context, kernels::Activation activation, const float* x,
                  int64_t x_stride, int64_t n, int64_t k, std::byte* out, int64_t out_stride);

// Runs all products, in parallel over their rows.
void run(const Context& context, std::span<const kernels::Matmul> products);

}  // namespace hadal::model
