#include "format/tensor_table.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "quant/format.h"

namespace hadal::format {
namespace {

using model::Matrix;
using quant::Type;

std::string extents_text(const int64_t* begin, size_t count) {
  return fmt::format("[{}]", fmt::join(begin, begin + count, ", "));
}

bool is_plain_float(Type type) {
  return type == Type::F32 || type == Type::F16 || type == Type::BF16;
}

size_t element_alignment(Type type) {
  if (type == Type::F32) return alignof(float);
  return type == Type::FP8_E4M3 ? 1 : alignof(uint16_t);
}

}  // namespace

int64_t Tensor::elements() const {
  int64_t n = 1;
  for (int i = 0; i < rank; ++i) n *= shape[static_cast<size_t>(i)];
  return n;
}

std::string shape_text(const Tensor& tensor) {
  return extents_text(tensor.shape.data(), static_cast<size_t>(tensor.rank));
}

void TensorTable::add(const Tensor& tensor) {
  if (!index_.emplace(tensor.name, tensors_.size()).second)
    fail(ErrorKind::format, "{}: tensor {} occurs twice", tensor.file, tensor.name);
  tensors_.push_back(tensor);
  used_.push_back(false);
}

const Tensor* TensorTable::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const Tensor& TensorTable::require(std::string_view name, std::initializer_list<int64_t> shape) {
  const auto found = index_.find(name);
  if (found == index_.end())
    fail(ErrorKind::format, "{}: tensor {} {} is missing", source_, name,
         extents_text(shape.begin(), shape.size()));
  used_[found->second] = true;
  const Tensor& tensor = tensors_[found->second];
  if (!std::equal(shape.begin(), shape.end(), tensor.shape.begin(),
                  tensor.shape.begin() + tensor.rank))
    fail(ErrorKind::format, "{}: tensor {} has the shape {}, expected {} by the configuration",
         tensor.file, name, shape_text(tensor), extents_text(shape.begin(), shape.size()));
  if (!tensor.type)
    fail(ErrorKind::unsupported, "{}: tensor {} has the type {}, which Hadal cannot read",
         tensor.file, name,
         tensor.type_name.empty() ? fmt::format("with the unknown id {}", tensor.type_id)
                                  : std::string(tensor.type_name));
  return tensor;
}

const std::byte* TensorTable::aligned(const Tensor& tensor) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.data.data());
  if (address % element_alignment(*tensor.type) == 0) return tensor.data.data();
  auto copy = std::make_shared<std::vector<std::byte>>(tensor.data.begin(), tensor.data.end());
  copies_.push_back(copy);
  return copy->data();
}

Matrix TensorTable::rows_of(const Tensor& tensor, int64_t first, int64_t rows) {
  const Type type = *tensor.type;
  const int64_t cols = tensor.shape[static_cast<size_t>(tensor.rank - 1)];
  if (cols % quant::type_info(type).block_weights != 0)
    fail(ErrorKind::format, "{}: tensor {} has rows of {}, no multiple of {}'s block of {}",
         tensor.file, tensor.name, cols, tensor.type_name, quant::type_info(type).block_weights);
  const auto row_bytes = static_cast<int64_t>(quant::row_bytes(type, cols));
  return {type, aligned(tensor) + first * row_bytes, rows, cols, row_bytes, nullptr, 0};
}

Matrix TensorTable::matrix(std::string_view name, int64_t rows, int64_t cols) {
  const Tensor& tensor = require(name, {rows, cols});
  if (*tensor.type == Type::I32)
    fail(ErrorKind::format, "{}: tensor {} holds whole numbers, expected weights", tensor.file,
         name);
  return rows_of(tensor, 0, rows);
}

std::vector<float> TensorTable::decode_floats(const Tensor& tensor) const {
  if (!tensor.type || !is_plain_float(*tensor.type))
    fail(ErrorKind::format, "{}: tensor {} has the type {}, expected F32, F16 or BF16", tensor.file,
         tensor.name, tensor.type_name);
  const int64_t n = tensor.elements();
  // A copy first: the file's address need not suit the elements.
  std::vector<float> values(static_cast<size_t>(n));
  if (*tensor.type == Type::F32) {
    std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  } else {
    std::vector<uint16_t> halves(static_cast<size_t>(n));
    std::memcpy(halves.data(), tensor.data.data(), tensor.data.size());
    quant::decode_row(*tensor.type, halves.data(), values.data(), n);
  }
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      fail(ErrorKind::format, "{}: tensor {} holds {} at {}, expected finite numbers", tensor.file,
           tensor.name, values[i], i);
  return values;
}

std::vector<float> TensorTable::floats(std::string_view name, int64_t n) {
  return decode_floats(require(name, {n}));
}

void TensorTable::ignore(std::string_view name) {
  const auto found = index_.find(name);
  if (found != index_.end()) used_[found->second] = true;
}

void TensorTable::refuse_unused(std::string_view architecture) const {
  for (size_t i = 0; i < tensors_.size(); ++i)
    if (!used_[i])
      fail(ErrorKind::unsupported,
           "{}: tensor {} {} has no place in a model of architecture {} as Hadal knows it",
           tensors_[i].file, tensors_[i].name, shape_text(tensors_[i]), architecture);
}

const float* TensorTable::keep(std::vector<float> values) {
  auto copy = std::make_shared<const std::vector<float>>(std::move(values));
  copies_.push_back(copy);
  return copy->data();
}

}  // namespace hadal::format
