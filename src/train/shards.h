// Sums of shards that do not depend on who computed which: in pairs, pairs of pairs and so on.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "model/buffer.h"

namespace hadal::train {

struct TrainOptions;

// options.shards, or four, two or one, whichever leaves whole parts. Throws Error(usage) if the
// sequences cannot be cut so, or so many ranks cannot share them.
int64_t shard_count(const TrainOptions& options, int ranks);

class ShardSum {
 public:
  // To be called with each shard in order; a power of two of them. At the last one `values` becomes
  // the sum of all; else they are the caller's to overwrite.
  void add(ThreadPool& pool, std::span<float> values, bool is_last);

 private:
  struct Sum {
    int level;  // of 2^level shards
    std::vector<model::Buffer>::size_type buffer;
  };
  std::vector<Sum> open_;               // levels descending
  std::vector<model::Buffer> buffers_;  // one for each that can be open at once
};

}  // namespace hadal::train
