// What random models of any file format are made of: a model without content, and rows for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "format/convert.h"
#include "format/rows.h"
#include "model/config.h"
#include "quant/type.h"

namespace hadal::format {

// A matrix without content, BF16 in name.
model::Matrix shape_of(int64_t rows, int64_t cols);
// A model whose matrices have shapes and no content; its vectors hold their values.
model::Model skeleton(const model::ModelConfig& config);

// Writes tensors as random rows, a batch of rows at a time; tensors of F32 rows as they are.
class RandomTensors {
 public:
  using Sink = std::function<void(const void* data, size_t bytes)>;

  RandomTensors(Sink sink, ThreadPool& pool, uint64_t seed, const WriteProgress& progress,
                uint64_t total)
      : sink_(std::move(sink)), pool_(pool), seed_(seed), progress_(progress), total_(total) {}

  // index: the tensor's place in the file, of which its content is a function.
  void write(const PlannedTensor& tensor, quant::Type type, float deviation, uint64_t index);

 private:
  Sink sink_;
  ThreadPool& pool_;
  uint64_t seed_;
  const WriteProgress& progress_;
  uint64_t total_, done_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace hadal::format
