// The rows of a tensor that is to be written, wherever they come from: stacked, in another order,
// transposed or joined from the matrices of a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/weights.h"

namespace hadal::format {

class Rows {
 public:
  virtual ~Rows() = default;
  // Decodes rows [first, first + count), multiples of granule(), to floats [count, cols].
  virtual void decode(int64_t first, int64_t count, float* out) const = 0;
  // A row's bytes as they are stored in type(), or null if rows have to be computed.
  virtual const std::byte* stored(int64_t) const { return nullptr; }
  // Rows that are made together.
  virtual int64_t granule() const { return 1; }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  // The rows' own type; of computed ones F32, F16 or BF16 as their source, BF16 for quantised ones.
  quant::Type type() const { return type_; }

 protected:
  Rows(int64_t rows, int64_t cols, quant::Type type) : rows_(rows), cols_(cols), type_(type) {}

 private:
  int64_t rows_, cols_;
  quant::Type type_;
};

// The order of a head's rows in q and k: Llama's rotation works on neighbours in GGUF files and on
// halves in Hugging Face's. For to_pairs row 2i + p of a head is row p * head_dim / 2 + i of it.
enum class RowOrder { as_is, to_pairs, to_halves };

// Matrices of equal shape, one after the other.
std::unique_ptr<Rows> stacked_rows(std::vector<model::Matrix> parts,
                                   RowOrder order = RowOrder::as_is, int64_t head_dim = 0);
// [n] or [rows, cols] floats.
std::unique_ptr<Rows> float_rows(const std::vector<float>& values, int64_t cols);
// Sizes of the latent's way up (model/weights.h).
struct UpShape {
  int64_t heads, rank, nope, value;
};
// k_b [heads * rank, nope] and v_b [heads * value, rank] out of kv_b.
std::unique_ptr<Rows> keys_of(const model::Matrix& kv_b, const UpShape& shape);
std::unique_ptr<Rows> values_of(const model::Matrix& kv_b, const UpShape& shape);
// kv_b [heads * (nope + value), rank] out of k_b and v_b.
std::unique_ptr<Rows> joined_up(const model::Matrix& k_b, const model::Matrix& v_b,
                                const UpShape& shape);

// A tensor of a file to be.
struct PlannedTensor {
  std::string name;
  std::vector<int64_t> shape;  // outermost first
  std::unique_ptr<Rows> rows;
};

// All tensors of a model as GGUF files name and shape them. The model must outlive the result.
std::vector<PlannedTensor> plan_gguf(const model::Model& model);
// The same in Hugging Face's published form.
std::vector<PlannedTensor> plan_hf(const model::Model& model);

}  // namespace hadal::format
