// Grouped-query attention of the dense architectures (Llama, Qwen2 with biases, Qwen3 with norms of
// queries and keys), for R1's distillations.
#pragma once

#include <cstdint>
#include <vector>

#include "model/batch.h"
#include "model/buffer.h"
#include "model/linear.h"

namespace hadal::model {

class DenseAttention {
 public:
  DenseAttention(const Context& context, const ModelConfig& config);

  // x: the normalised input of all rows; y [rows, hidden]. Writes the cache entries of all rows.
  void forward(const Attention& w, Input& x, const Batch& batch, KvCache& cache, int64_t layer,
               float* y);

 private:
  struct Task {
    int64_t segment, first, count;  // queries of tokens [first, first + count) of the segment
  };
  struct Scratch {
    Buffer q, o, state, packed, attend;
  };

  void finish_row(const Attention& w, const Batch& batch, KvCache& cache, int64_t layer,
                  int64_t row);
  void finish_heads(float* x, int64_t heads, const std::vector<float>& bias,
                    const std::vector<float>& norm, const float* angles);
  void attend(const Batch& batch, const KvCache& cache, int64_t layer, const Task& task,
              int64_t kv_head, Scratch& scratch);

  const Context& context_;
  const ModelConfig& config_;
  const int64_t q_width_, kv_width_;
  Buffer q_buffer_, kv_buffer_, out_buffer_;
  float* q_ = nullptr;    // [rows, heads, head_dim]
  float* kv_ = nullptr;   // [rows, 2, kv_heads, head_dim]: keys, values
  float* out_ = nullptr;  // [rows, heads, head_dim]
  Input out_input_;
  std::vector<Task> tasks_;
  std::vector<Scratch> scratch_;  // by thread
};

}  // namespace hadal::model
