#include "model/block.h"

#include "model/norm.h"

namespace hadal::model {

Block::Block(const Context& context, const ModelConfig& config)
    : context_(context),
      attention_context_(unrounded(context)),
      config_(config),
      mla_(attention_context_, config),
      dense_attention_(attention_context_, config),
      moe_(context, config) {}

void Block::forward(const Layer& w, const Batch& batch, KvCache& cache, int64_t layer, float* x,
                    Trace::Router* router) {
  const int64_t n = batch.rows();
  const int64_t hidden = config_.hidden_size;
  const double eps = config_.rms_norm_eps;
  float* normed = normed_buffer_.get(n * hidden);
  float* delta = delta_buffer_.get(n * hidden);

  norm_rows(context_, x, w.attention_norm, eps, n, normed);
  input_.set(attention_context_, normed, hidden, n, hidden);
  if (config_.is_mla())
    mla_.forward(w.attention, input_, batch, cache, layer, delta);
  else
    dense_attention_.forward(w.attention, input_, batch, cache, layer, delta);

  add_and_norm_rows(context_, delta, w.ffn_norm, eps, n, x, normed);
  input_.set(context_, normed, hidden, n, hidden);
  if (w.experts.routed.empty())
    ffn_.forward(context_, w.dense, input_, n, delta);
  else
    moe_.forward(w.experts, normed, input_, n, delta, router);
  add_rows(context_, delta, n, hidden, x);
}

}  // namespace hadal::model
