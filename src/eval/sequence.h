// One sequence through a model, chunk by chunk: what perplexity, comparisons and benchmarks need of
// the forward pass, without the engine's queue.
#pragma once

#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "model/forward.h"

namespace hadal::eval {

// The cache that belongs to a precision: native serves, with a BF16 cache; the others compare with
// references, which round no cache.
quant::Type cache_type(model::Precision precision);
// `wanted`, or else the precision's own. Throws Error(usage) for 8 bits outside of native
// precision.
quant::Type cache_type(model::Precision precision, std::optional<quant::Type> wanted);

class Sequence {
 public:
  // positions_max: the longest the sequence gets; chunk: tokens per forward call.
  Sequence(const model::Model& model, model::Precision precision, ThreadPool& pool,
           int64_t positions_max, int64_t chunk, std::optional<quant::Type> cache = {});

  void reset() { length_ = 0; }
  int64_t length() const { return length_; }

  // Logits of `count` tokens from position `first` on: [count, vocab].
  using Rows = std::function<void(int64_t first, int64_t count, std::span<const float> logits)>;

  // Appends tokens as a prompt (MLA expanded). `rows` is called for each chunk if given.
  void append(std::span<const int32_t> tokens, const Rows& rows, model::Trace* trace = nullptr);
  // Appends one token as generation does (MLA absorbed); returns its logits [vocab].
  std::span<const float> step(int32_t token);

  model::Runner& runner() { return runner_; }
  model::KvCache& cache() { return cache_; }
  std::span<const int32_t> pages() const { return pages_; }

 private:
  model::Runner runner_;
  model::KvCache cache_;
  std::vector<int32_t> pages_;
  int64_t chunk_;
  int64_t length_ = 0;
};

}  // namespace hadal::eval
