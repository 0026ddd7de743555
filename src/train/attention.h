// Causal softmax attention within documents, and its derivative. Nothing of the size of the scores
// is kept: the backward pass computes them again from the queries, the keys, and the logarithm of
// each row's sum (Dao et al., arXiv 2205.14135).
#pragma once

#include <vector>

#include "train/batch.h"
#include "train/linear.h"

namespace hadal::train {

struct AttentionShape {
  int64_t heads = 0, kv_heads = 0;
  int64_t key = 0, value = 0;  // widths of a head
  float scale = 0;
};

class CausalAttention {
 public:
  explicit CausalAttention(const AttentionShape& shape) : shape_(shape) {}

  // q [n, heads, key], k [n, kv_heads, key], v [n, kv_heads, value]; o [n, heads, value];
  // log_sums [n, heads] are for backward.
  void forward(const Context& context, const Batch& batch, const float* q, const float* k,
               const float* v, float* o, float* log_sums) const;
  // dq, dk, dv from o's derivative; dk and dv sum over the heads that share them.
  void backward(const Context& context, const Batch& batch, const float* q, const float* k,
                const float* v, const float* o, const float* log_sums, const float* d_o, float* dq,
                float* dk, float* dv) const;

 private:
  struct Head;
  void score_derivatives(int64_t first, int64_t i, int64_t rows, int64_t head,
                         const float* log_sums, const float* d_o, const float* o, float* p,
                         float* dp) const;
  AttentionShape shape_;
};

}  // namespace hadal::train
