#include "model/linear.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "model/packing.h"

namespace hadal::model {
namespace {

using kernels::Activation;
using kernels::Matmul;

// Bytes of weights (times activations) that one thread takes at a time, at most. Each piece starts
// slowly, since nothing has been fetched ahead: 128 KB cost 7% of the speed of generation.
constexpr int64_t piece_cost = 512 << 10;
// Pieces for each thread at most: enough to end together.
constexpr int64_t pieces_max = 64;
// Kernels work on up to sixteen rows at once.
constexpr int64_t row_block = 16;

// Packed products work on sixteen activations at once, and unpacking a row costs about as much.
int64_t row_cost(const Matmul& product, bool packed) {
  const int64_t n = packed ? (product.n + 31) / 16 * 16 : product.n;
  return std::max<int64_t>(1, product.w->row_bytes) * n;
}

// Small rows of one input are converted together by one thread.
constexpr int64_t convert_grain = 4;

void convert_row(const Context& context, Activation activation, const float* x, int64_t k,
                 std::byte* out) {
  kernels::convert(context.kernels, activation, x, k, out);
  if (context.precision == Precision::bf16)
    context.kernels.round_bf16(reinterpret_cast<float*>(out), k);
}

// Floats that are used as they are need no copy.
bool used_in_place(const Context& context, Activation activation) {
  return activation == Activation::f32 && context.precision != Precision::bf16;
}

}  // namespace

Activation activation_for(Precision precision, quant::Type type) {
  return precision == Precision::native ? kernels::native_activation(type) : Activation::f32;
}

Prepared prepare(const Context& context, Activation activation, const float* x, int64_t x_stride,
                 int64_t n, int64_t k, Buffer& storage) {
  if (used_in_place(context, activation))
    return {x, x_stride * static_cast<int64_t>(sizeof(float))};
  const int64_t stride = kernels::activation_bytes(activation, k);
  std::byte* out = storage.bytes(n * stride);
  prepare_rows(context, activation, x, x_stride, n, k, out, stride);
  return {out, stride};
}

void prepare_rows(const Context& context, Activation activation, const float* x, int64_t x_stride,
                  int64_t n, int64_t k, std::byte* out, int64_t out_stride) {
  for (int64_t i = 0; i < n; ++i)
    convert_row(context, activation, x + i * x_stride, k, out + i * out_stride);
}

void Input::set(const Context& context, const float* x, int64_t stride, int64_t n, int64_t k) {
  context_ = &context;
  x_ = x;
  stride_ = stride;
  n_ = n;
  k_ = k;
  from_ = nullptr;
  for (Form& form : forms_) form.data = nullptr;
}

void Input::gather(const Context& context, Input& from, std::span<const int32_t> rows) {
  set(context, nullptr, from.k_, static_cast<int64_t>(rows.size()), from.k_);
  from_ = &from;
  rows_ = rows;
}

void Input::convert(Activation activation, Form& form) {
  if (from_ == nullptr && used_in_place(*context_, activation)) {
    form.data = reinterpret_cast<const std::byte*>(x_);
    form.stride = stride_ * static_cast<int64_t>(sizeof(float));
    return;
  }
  const Form* source = from_ != nullptr ? &from_->form(activation) : nullptr;
  form.stride = kernels::activation_bytes(activation, k_);
  const auto copied = static_cast<size_t>(
      activation == Activation::f32 ? k_ * static_cast<int64_t>(sizeof(float)) : form.stride);
  std::byte* base = form.storage.bytes(n_ * form.stride);
  context_->pool.parallel_for(n_, convert_grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      std::byte* out = base + i * form.stride;
      if (source != nullptr)
        std::memcpy(out, source->data + rows_[static_cast<size_t>(i)] * source->stride, copied);
      else
        convert_row(*context_, activation, x_ + i * stride_, k_, out);
    }
  });
  form.data = base;
}

const Input::Form& Input::form(Activation activation) {
  Form& form = forms_[static_cast<size_t>(activation)];
  if (form.data == nullptr) convert(activation, form);
  return form;
}

Matmul Input::product(const Matrix& w, int64_t row_begin, int64_t row_end, int64_t first_row,
                      int64_t n, float* y, int64_t y_stride) {
  HADAL_CHECK(w.data != nullptr && w.cols == k_, "product of width {} with {} columns", k_, w.cols);
  const Activation activation = activation_for(context_->precision, w.type);
  const Form& input = form(activation);
  return {&w,           row_begin, row_end, activation, input.data + first_row * input.stride,
          input.stride, n,         y,       y_stride};
}

// All products together are one line of costs, which is cut into equal pieces: so threads of equal
// speed end together however few or unequal the products are.
void run(const Context& context, std::span<const Matmul> products) {
  // Where each product starts on the line; kept between calls so that a step does not allocate.
  static thread_local std::vector<int64_t> start_storage;
  static thread_local Packing packing_storage;
  const Packing& packing = packing_storage;
  packing_storage.pack(context, products);
  start_storage.clear();
  int64_t total = 0;
  for (size_t i = 0; i < products.size(); ++i) {
    start_storage.push_back(total);
    total += (products[i].row_end - products[i].row_begin) *
             row_cost(products[i], packing.input(i) != nullptr);
  }
  const std::span<const int64_t> starts = start_storage;
  const int64_t threads = context.pool.threads();
  const int64_t wanted = (total + threads * piece_cost - 1) / (threads * piece_cost);
  const int64_t pieces = threads * std::min(wanted, pieces_max);
  context.pool.parallel_for(pieces, 1, [&](int64_t piece_begin, int64_t piece_end, int) {
    const int64_t begin = total / pieces * piece_begin;
    const int64_t end = piece_end == pieces ? total : total / pieces * piece_end;
    auto i = static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), begin) -
                                 starts.begin() - 1);
    for (; i < products.size() && starts[i] < end; ++i) {
      Matmul part = products[i];
      if (part.n == 0) continue;
      const int64_t rows = part.row_end - part.row_begin;
      const std::byte* packed = packing.input(i);
      const int64_t block_cost = row_cost(part, packed != nullptr) * row_block;
      const auto row_at = [&](int64_t position) {
        const int64_t blocks =
            (std::max<int64_t>(0, position - starts[i]) + block_cost - 1) / block_cost;
        return std::min(rows, blocks * row_block);
      };
      const int64_t first = row_at(begin);
      const int64_t last = row_at(end);
      if (first == last) continue;
      part.row_end = part.row_begin + last;
      part.row_begin += first;
      part.y += first;
      if (packed == nullptr) {
        context.kernels.matmul(part);
      } else {
        part.x = packed;
        context.kernels.matmul_packed(part);
      }
    }
  });
}

}  // namespace hadal::model
