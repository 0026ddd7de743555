// Attention on BF16 (docs/numerics.md): the walk of attention.h with queries, keys, values and
// weights rounded, so that every product can go through BF16 tiles. It is the definition of
// Precision::native unless the cache holds F32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/attention.h"
#include "model/buffer.h"
#include "model/kv_cache.h"
#include "model/linear.h"

namespace hadal::model {

bool attends_bf16(const Context& context, const KvCache& cache);

// Queries on their walk. What `queries` and `packed` point to must outlive it.
class Bf16Walk {
 public:
  // packed: room for kernels::packed_queries_size elements.
  Bf16Walk(const Context& context, const Queries& queries, uint16_t* packed);

  // Rounds the queries into `packed`.
  void pack();
  // Sets states and outputs to those of queries that have seen nothing.
  void start();
  // Adds a page, in order, as attend_page: keys and values in BF16. Rows of keys lie at least
  // queries.width rounded up to 32 elements apart, and up to the next multiple of 16 are there.
  // follow: where in the cache the next page lies, or nothing.
  void attend_page(const kernels::Rows& keys, const kernels::Rows& values, int64_t page_first,
                   std::span<const std::byte> follow, Buffer& scratch);

  // Divides by the sums; query i's output goes to out + i * stride.
  void finish(float* out, int64_t stride) const;

 private:
  const kernels::Table* kernels_;
  uint16_t* packed_;
  Queries queries_;
};

// Adds to a query's state and output o [width] those of the pages that follow.
void merge_bf16(const float* next_state, const float* next_o, int64_t width, float* state,
                float* o);

}  // namespace hadal::model
