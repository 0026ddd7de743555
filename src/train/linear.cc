#include "train/linear.h"

#include <algorithm>

#include "base/error.h"
#include "train/lora.h"

namespace hadal::train {

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

void load_matrix(const Context& context, Parameter& parameter, const kernels::Matrix& matrix) {
  const int64_t rows = parameter.shape[0], cols = parameter.shape[1];
  if (matrix.rows != rows || matrix.cols != cols)
    fail(ErrorKind::format, "{}: [{}, {}], expected [{}, {}]", parameter.name, matrix.rows,
         matrix.cols, rows, cols);
  if (parameter.value == nullptr) {
    parameter.frozen = matrix;
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    context.kernels.decode_row(&matrix, r, parameter.value + r * cols);
}

void Linear::load(const Context& context, const kernels::Matrix& matrix,
                  std::span<const float> bias) {
  load_matrix(context, *weight_, matrix);
  if (bias_ != nullptr) load_values(*bias_, bias);
}

void Linear::refresh(const Context& context) {
  const quant::Type type = operand_type(context);
  const bool frozen = weight_->value == nullptr;
  if (frozen && weight_->a == nullptr && packed_ == weight_->frozen.data &&
      forward_.stride == kernels::panel_bytes(type, cols_))
    return;  // nothing has changed
  packed_ = weight_->frozen.data;
  const int64_t forward_bytes = kernels::panels_bytes(type, cols_, rows_);
  std::byte* data = storage_->bytes(forward_bytes + kernels::panels_bytes(type, rows_, cols_));
  std::byte* back = data + forward_bytes;
  forward_ = {data, kernels::panel_bytes(type, cols_), cols_, rows_};
  backward_ = {back, kernels::panel_bytes(type, rows_), rows_, cols_};
  // 32 rows are two panels of one and a step of the other.
  context.pool.parallel_for((rows_ + 31) / 32, 4, [&](int64_t begin, int64_t end, int) {
    const int64_t stride = padded_row(cols_);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = 32 * i, count = std::min<int64_t>(32, rows_ - first);
      float* decoded = frozen ? thread_floats(1, 32 * cols_) : nullptr;
      for (int64_t r = 0; frozen && r < count; ++r)
        read_row(*weight_, first + r, decoded + r * cols_);
      const float* values = frozen ? decoded : weight_->value + first * cols_;
      Operand rows = {type, values, cols_, count, cols_};
      if (type == quant::Type::BF16) {
        auto* halves = reinterpret_cast<uint16_t*>(thread_floats(0, 32 * stride / 2));
        for (int64_t r = 0; r < count; ++r)
          context.kernels.float_to_bf16(values + r * cols_, cols_, halves + r * stride);
        rows.data = halves;
        rows.stride = stride;
      }
      context.kernels.pack_columns({rows, data + 2 * i * forward_.stride, forward_.stride});
      context.kernels.pack_rows(
          {rows, back + i * kernels::panel_bytes(type, 32), backward_.stride});
    }
  });
}

void Linear::forward(const Context& context, const Operand& x, float* y, int64_t y_stride,
                     bool add) const {
  product(context, x, forward_, y, y_stride, add);
  if (bias_ == nullptr || add) return;
  for (int64_t r = 0; r < x.rows; ++r)
    context.kernels.add_scaled(1.0f, bias_->value, rows_, y + r * y_stride);
}

}  // namespace hadal::train
