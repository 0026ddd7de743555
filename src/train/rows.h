// Rows of numbers in the format of products' operands, and work on rows by all threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "model/linear.h"

namespace hadal::train {

using kernels::Operand;
using model::Buffer;
using model::Context;

// The number format of a context's operands: F32, or BF16 under Precision::native.
inline quant::Type operand_type(const Context& context) {
  return context.precision == model::Precision::native ? quant::Type::BF16 : quant::Type::F32;
}
inline int64_t operand_bytes(quant::Type type) {
  return type == quant::Type::BF16 ? 2 : 4;
}

// Rows start on cache lines, and end in zeros up to there.
inline int64_t padded_row(int64_t n) {
  return (n + 31) / 32 * 32;
}

// A stride of rows of n elements whose addresses do not all fall on a few lines of a cache.
inline int64_t row_stride(int64_t n) {
  return padded_row(n) % 256 == 0 ? padded_row(n) + 32 : padded_row(n);
}

// n floats in the format of operands.
inline void to_operand(const Context& context, quant::Type type, const float* x, int64_t n,
                       void* out) {
  if (type == quant::Type::BF16)
    context.kernels.float_to_bf16(x, n, static_cast<uint16_t*>(out));
  else
    std::copy_n(x, n, static_cast<float*>(out));
}

// Operands [n, cols], what they hold is lost when they grow. Readable for 32 elements behind any.
class OperandRows {
 public:
  void resize(quant::Type type, int64_t n, int64_t cols) {
    type_ = type;
    n_ = n;
    cols_ = cols;
    stride_ = row_stride(cols);
    data_ = storage_.bytes((n * stride_ + 32) * operand_bytes(type));
    std::fill_n(at(n, 0), 32 * operand_bytes(type), std::byte{0});
    if (stride_ == cols) return;
    for (int64_t r = 0; r < n; ++r) std::fill(at(r, cols), at(r, stride_), std::byte{0});
  }
  quant::Type type() const { return type_; }
  int64_t rows() const { return n_; }
  int64_t cols() const { return cols_; }
  int64_t stride() const { return stride_; }
  std::byte* at(int64_t row, int64_t col = 0) const {
    return data_ + (row * stride_ + col) * operand_bytes(type_);
  }
  Operand rows(int64_t first, int64_t count) const { return part(first, count, 0, cols_); }
  Operand part(int64_t first, int64_t count, int64_t col, int64_t cols) const {
    return {type_, at(first, col), stride_, count, cols};
  }
  // The same for decode_row.
  kernels::Matrix matrix() const {
    return {type_, data_, n_, cols_, stride_ * operand_bytes(type_), nullptr, 0};
  }
  // Elements from (row, col) on.
  void set(const Context& context, int64_t row, int64_t col, const float* x, int64_t n) const {
    to_operand(context, type_, x, n, at(row, col));
  }
  // Rows [first, first + count) from x [count, cols].
  void set_rows(const Context& context, int64_t first, int64_t count, const float* x) const {
    for (int64_t r = 0; r < count; ++r) set(context, first + r, 0, x + r * cols_, cols_);
  }

 private:
  quant::Type type_ = quant::Type::F32;
  int64_t n_ = 0, cols_ = 0, stride_ = 0;
  Buffer storage_;
  std::byte* data_ = nullptr;
};

// Rows that a thread takes through several products, so that what lies between them stays in its
// cache. Borders depend on n alone, and so do sums over chunks in order.
constexpr int64_t chunk_rows = 128;
inline int64_t chunks_of(int64_t n) {
  return (n + chunk_rows - 1) / chunk_rows;
}
// body(first, count, chunk) for every chunk of n rows.
template <class Body>
void each_chunk(const Context& context, int64_t n, const Body& body) {
  context.pool.parallel_for(chunks_of(n), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * chunk_rows;
      body(first, std::min(chunk_rows, n - first), chunk);
    }
  });
}

// This thread's working memory, of which a body may use several places at once.
inline float* thread_floats(size_t place, int64_t count) {
  static thread_local Buffer buffers[8];
  return buffers[place].get(count);
}

// Sums over all rows of what chunks have summed.
class ColumnSums {
 public:
  void start(int64_t chunks, int64_t width) {
    chunks_ = chunks;
    width_ = width;
    data_ = storage_.get(chunks * width);
    std::fill_n(data_, chunks * width, 0.0f);
  }
  float* of(int64_t chunk) const { return data_ + chunk * width_; }
  // gradient [width] += the sums, in order. Null: it is not wanted.
  void add_to(const Context& context, float* gradient) const {
    if (gradient == nullptr) return;
    for (int64_t i = 0; i < chunks_; ++i) context.kernels.add_scaled(1.0f, of(i), width_, gradient);
  }

 private:
  Buffer storage_;
  float* data_ = nullptr;
  int64_t chunks_ = 0, width_ = 0;
};

}  // namespace hadal::train
