// A decoder layer: x += attention(norm(x)); x += ffn(norm(x)).
#pragma once

#include <cstdint>

#include "model/attention_dense.h"
#include "model/batch.h"
#include "model/buffer.h"
#include "model/ffn.h"
#include "model/mla.h"
#include "model/moe.h"

namespace hadal::model {

class Block {
 public:
  Block(const Context& context, const ModelConfig& config);

  // x [rows, hidden], in place. layer: its index in the cache. router: filled if not null and the
  // layer has experts.
  void forward(const Layer& w, const Batch& batch, KvCache& cache, int64_t layer, float* x,
               Trace::Router* router);

 private:
  const Context& context_;
  const Context attention_context_;  // attention's inputs are not rounded, whatever the precision
  const ModelConfig& config_;
  Mla mla_;
  DenseAttention dense_attention_;
  Ffn ffn_;
  Moe moe_;
  Buffer normed_buffer_, delta_buffer_;
  Input input_;
};

}  // namespace hadal::model
