// Causal softmax attention within documents, and its derivative. Nothing of the size of the scores
// is kept: the backward pass computes them again from the queries, the keys, and the logarithm of
// each row's sum (Dao et al., arXiv 2205.14135).
#pragma once

#include "train/batch.h"
#include "train/linear.h"

namespace hadal::train {

struct AttentionShape {
  int64_t heads = 0, kv_heads = 0;
  int64_t key = 0, value = 0;  // widths of a head
  float scale = 0;
};

// Heads side by side: q [n, heads * key], k [n, kv_heads * key], v [n, kv_heads * value].
struct AttentionInputs {
  const OperandRows& q;
  const OperandRows& k;
  const OperandRows& v;
};

// What the backward pass needs of the forward pass and of o's derivative.
struct AttentionState {
  const float* log_sums;  // [heads, n]
  const float* deltas;    // [heads, n]: o . do
};

class CausalAttention {
 public:
  explicit CausalAttention(const AttentionShape& shape) : shape_(shape) {}

  // o [n, heads * value], log_sums [heads, n].
  void forward(const Context& context, const Batch& batch, const AttentionInputs& in,
               const OperandRows& o, float* log_sums) const;
  // dq, dk, dv as q, k, v; dk and dv sum over the heads that share them.
  void backward(const Context& context, const Batch& batch, const AttentionInputs& in,
                const AttentionState& state, const OperandRows& d_o, float* dq, float* dk,
                float* dv) const;

 private:
  AttentionShape shape_;
};

}  // namespace hadal::train
