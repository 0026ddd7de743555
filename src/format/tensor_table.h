// The tensors of a model's files by name, and their checked hand-over to model::Model: every access
// says what it expects, every error names file and tensor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/weights.h"

namespace hadal::format {

struct Tensor {
  std::string_view name;              // lives as long as the file's reader
  std::string_view file;              // for messages
  std::optional<quant::Type> type;    // none: Hadal cannot compute with it
  std::string_view type_name;         // as the file or other tools call it, "" if nobody does
  uint32_t type_id = 0;               // of GGUF files
  int rank = 0;                       // at most 4
  std::array<int64_t, 4> shape{};     // outermost first
  std::span<const std::byte> data{};  // empty if the type is foreign

  int64_t elements() const;
};

std::string shape_text(const Tensor& tensor);

class TensorTable {
 public:
  // source: the model's path, for messages.
  explicit TensorTable(std::string source) : source_(std::move(source)) {}

  // Throws Error(format) if the name is known already.
  void add(const Tensor& tensor);
  const std::string& source() const { return source_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  bool has(std::string_view name) const { return index_.contains(name); }
  // Null if absent. Does not count as a use.
  const Tensor* find(std::string_view name) const;

  // The tensor of this name; it counts as used. Throws Error(format) if it is missing or its shape
  // differs, Error(unsupported) if its type is foreign.
  const Tensor& require(std::string_view name, std::initializer_list<int64_t> shape);
  // The tensor [rows, cols] as a matrix. Rows must be whole blocks of the type.
  model::Matrix matrix(std::string_view name, int64_t rows, int64_t cols);
  // Rows [first, first + rows) of a tensor seen as a matrix with rows of its innermost extent.
  model::Matrix rows_of(const Tensor& tensor, int64_t first, int64_t rows);
  // A vector [n] of F32, F16 or BF16, as floats. Throws Error(format) if a value is not finite.
  std::vector<float> floats(std::string_view name, int64_t n);
  // The values of a tensor of these types, checked like floats'.
  std::vector<float> decode_floats(const Tensor& tensor) const;

  // Says that a tensor, present or not, is left out on purpose.
  void ignore(std::string_view name);
  // Throws Error(unsupported) naming a tensor that nothing asked for: computing without it would
  // give wrong answers silently.
  void refuse_unused(std::string_view architecture) const;

  // Bytes that tensors had to be copied to; they live in what this returns.
  std::vector<std::shared_ptr<const void>> take_copies() { return std::move(copies_); }
  // Keeps a buffer alive with the model.
  const float* keep(std::vector<float> values);

 private:
  // The tensor's bytes at an address that its elements may have; copied if the file's is not.
  const std::byte* aligned(const Tensor& tensor);

  std::string source_;
  std::vector<Tensor> tensors_;
  std::unordered_map<std::string_view, size_t> index_;
  std::vector<bool> used_;
  std::vector<std::shared_ptr<const void>> copies_;
};

}  // namespace hadal::format
