// Inside of format: moves the rows of planned tensors to a file, in another number format if need
// be, with all threads and bounded memory.
#pragma once

#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "format/convert.h"
#include "format/rows.h"

namespace hadal::format {

class TensorPump {
 public:
  using Sink = std::function<void(const void* data, size_t bytes)>;

  // total: bytes that will have been moved in the end, for progress.
  TensorPump(ThreadPool& pool, Sink sink, const WriteProgress& progress, uint64_t total)
      : pool_(pool), sink_(std::move(sink)), progress_(progress), total_(total) {}

  // Throws Error(format) naming the tensor if values have to be encoded that are not finite, or
  // do not fit the format.
  void move(const PlannedTensor& tensor, quant::Type to);

 private:
  void copy(const Rows& rows, size_t row_bytes);
  void encode(const PlannedTensor& tensor, quant::Type to, size_t row_bytes);
  void put(const void* data, size_t bytes);

  ThreadPool& pool_;
  Sink sink_;
  const WriteProgress& progress_;
  uint64_t total_, done_ = 0;
  std::vector<std::byte> encoded_;
};

}  // namespace hadal::format
