// MLA, expanded form: one task is one head of one segment. It walks the pages of the sequence,
// rebuilds the 64 keys and values of the page for its head (a product of 64 rows, which stay in the
// second-level cache) and lets all queries of the segment attend to them. Memory does not grow with
// the context, and the cost of rebuilding is shared by the queries of the segment: they should be
// many (docs/model.md).
#include <algorithm>
#include <cstring>

#include "base/scalar.h"
#include "model/mla.h"

namespace hadal::model {

void Mla::attend_expanded(const Attention& w, const Batch& batch, const KvCache& cache,
                          int64_t layer) {
  expanded_.clear();
  for (size_t s = 0; s < batch.segments.size(); ++s)
    if (batch.segments[s].form == AttentionForm::expanded && !batch.segments[s].tokens.empty())
      expanded_.push_back(static_cast<int64_t>(s));
  if (expanded_.empty()) return;
  if (attends_bf16(context_, cache)) return attend_expanded_bf16(w, batch, cache, layer);
  const int64_t heads = config_.heads;
  const int64_t tasks = static_cast<int64_t>(expanded_.size()) * heads;
  context_.pool.parallel_for(tasks, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t task = begin; task < end; ++task)
      attend_head(w, batch, cache, layer, expanded_[static_cast<size_t>(task / heads)],
                  task % heads, scratch_[static_cast<size_t>(thread)]);
  });
}

Queries Mla::head_queries(const Batch& batch, int64_t segment_index, int64_t head,
                          float* state) const {
  const Segment& segment = batch.segments[static_cast<size_t>(segment_index)];
  const int64_t first_row = batch.first_row[static_cast<size_t>(segment_index)];
  const int64_t q_stride = config_.heads * key_dim_;
  const int64_t o_stride = config_.heads * config_.v_dim;
  return {.q = q_ + first_row * q_stride + head * key_dim_,
          .q_stride = q_stride,
          .width = key_dim_,
          .count = static_cast<int64_t>(segment.tokens.size()),
          .per_position = 1,
          .first_position = segment.start,
          .scale = static_cast<float>(config_.attention_scale),
          .o = out_ + first_row * o_stride + head * config_.v_dim,
          .o_stride = o_stride,
          .o_width = config_.v_dim,
          .state = state};
}

void Mla::attend_head(const Attention& w, const Batch& batch, const KvCache& cache, int64_t layer,
                      int64_t segment_index, int64_t head, Scratch& scratch) {
  const Segment& segment = batch.segments[static_cast<size_t>(segment_index)];
  const auto count = static_cast<int64_t>(segment.tokens.size());
  const int64_t end = segment.start + count;
  const Queries queries = head_queries(batch, segment_index, head, scratch.state.get(2 * count));
  for (int64_t first = 0; first < end; first += KvCache::page_tokens) {
    const int64_t n = std::min(KvCache::page_tokens, end - first);
    expand_page(w, page_rows(cache, layer, segment, first / KvCache::page_tokens, 0, n), head,
                scratch);
    const kernels::Rows keys{quant::Type::F32, scratch.keys.get(0), n, key_dim_};
    const kernels::Rows values{quant::Type::F32, scratch.values.get(0), n, config_.v_dim};
    attend_page(context_.kernels, queries, keys, values, first, first == 0);
  }
  attend_finish(queries);
}

// k_i = [W_UK,i c ; k_rope] into scratch.keys, v_i = W_UV,i c into scratch.values, from the entries
// of a page as the cache holds them.
void Mla::expand_page(const Attention& w, const kernels::Rows& entries, int64_t head,
                      Scratch& scratch) {
  const int64_t n = entries.count;
  const int64_t lora = config_.kv_lora_rank;
  const int64_t nope = config_.qk_nope_dim;
  const int64_t v = config_.v_dim;
  float* keys = scratch.keys.get(KvCache::page_tokens * key_dim_);
  float* values = scratch.values.get(KvCache::page_tokens * v);
  const float* latents = static_cast<const float*>(entries.data);
  if (entries.type == quant::Type::BF16) {
    float* decoded = scratch.latents.get(KvCache::page_tokens * entries.stride);
    const auto* halves = static_cast<const uint16_t*>(entries.data);
    for (int64_t i = 0; i < n * entries.stride; ++i) decoded[i] = bf16_to_float(halves[i]);
    latents = decoded;
  }
  for (int64_t i = 0; i < n; ++i)
    std::memcpy(keys + i * key_dim_ + nope, latents + i * entries.stride + lora,
                static_cast<size_t>(config_.qk_rope_dim) * sizeof(float));

  const Matrix& v_matrix = w.kv_b.data != nullptr ? w.kv_b : w.v_b;
  const int64_t v_first = w.kv_b.data != nullptr ? head * (nope + v) + nope : head * v;
  const auto activation = activation_for(context_.precision, v_matrix.type);
  const Prepared c =
      prepare(context_, activation, latents, entries.stride, n, lora, scratch.prepared);
  context_.kernels.matmul(
      {&v_matrix, v_first, v_first + v, activation, c.data, c.stride, n, values, v});
  if (w.kv_b.data != nullptr) {
    const int64_t k_first = head * (nope + v);
    context_.kernels.matmul(
        {&w.kv_b, k_first, k_first + nope, activation, c.data, c.stride, n, keys, key_dim_});
    return;
  }
  // k_b holds W_UK transposed: its products take floats.
  context_.kernels.matmul_transposed(&w.k_b, head * lora, (head + 1) * lora, latents,
                                     entries.stride, n, keys, key_dim_,
                                     scratch.row.get(w.k_b.cols));
}

}  // namespace hadal::model
