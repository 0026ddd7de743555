#include "model/attention_dense.h"

#include <algorithm>
#include <cstring>

#include "kernels/attend.h"
#include "model/attention.h"
#include "model/attention_bf16.h"

namespace hadal::model {
namespace {

// Tokens whose queries walk the pages together; keys are read once for each block.
constexpr int64_t tokens_per_task = 64;

}  // namespace

DenseAttention::DenseAttention(const Context& context, const ModelConfig& config)
    : context_(context),
      config_(config),
      q_width_(config.heads * config.head_dim),
      kv_width_(config.kv_heads * config.head_dim),
      scratch_(static_cast<size_t>(context.pool.threads())) {}

void DenseAttention::forward(const Attention& w, Input& x, const Batch& batch, KvCache& cache,
                             int64_t layer, float* y) {
  const int64_t rows = batch.rows();
  q_ = q_buffer_.get(rows * q_width_);
  kv_ = kv_buffer_.get(rows * 2 * kv_width_);
  out_ = out_buffer_.get(rows * q_width_);
  const kernels::Matmul in[] = {x.product(w.q, q_, q_width_), x.product(w.k, kv_, 2 * kv_width_),
                                x.product(w.v, kv_ + kv_width_, 2 * kv_width_)};
  run(context_, in);
  context_.pool.parallel_for(rows, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) finish_row(w, batch, cache, layer, r);
  });
  tasks_.clear();
  for (size_t s = 0; s < batch.segments.size(); ++s) {
    const auto count = static_cast<int64_t>(batch.segments[s].tokens.size());
    for (int64_t first = 0; first < count; first += tokens_per_task)
      tasks_.push_back({static_cast<int64_t>(s), first, std::min(tokens_per_task, count - first)});
  }
  const int64_t heads = config_.kv_heads;
  const int64_t count = static_cast<int64_t>(tasks_.size()) * heads;
  context_.pool.parallel_for(count, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i)
      attend(batch, cache, layer, tasks_[static_cast<size_t>(i / heads)], i % heads,
             scratch_[static_cast<size_t>(thread)]);
  });
  out_input_.set(context_, out_, q_width_, rows, q_width_);
  const kernels::Matmul products[] = {out_input_.product(w.o, y, config_.hidden_size)};
  run(context_, products);
}

// Biases, norms and rotation of one row, and its cache entry.
void DenseAttention::finish_row(const Attention& w, const Batch& batch, KvCache& cache,
                                int64_t layer, int64_t row) {
  const float* angles = batch.angles + row * batch.angle_stride;
  float* kv = kv_ + row * 2 * kv_width_;
  finish_heads(q_ + row * q_width_, config_.heads, w.q_bias, w.q_norm, angles);
  finish_heads(kv, config_.kv_heads, w.k_bias, w.k_norm, angles);
  if (!w.v_bias.empty())
    context_.kernels.add_scaled(1.0f, w.v_bias.data(), kv_width_, kv + kv_width_);
  store(context_.kernels, cache.type(), kv, 2 * kv_width_, batch.cache_entry(cache, layer, row));
}

void DenseAttention::finish_heads(float* x, int64_t heads, const std::vector<float>& bias,
                                  const std::vector<float>& norm, const float* angles) {
  const int64_t dim = config_.head_dim;
  if (!bias.empty()) context_.kernels.add_scaled(1.0f, bias.data(), heads * dim, x);
  for (int64_t h = 0; h < heads; ++h) {
    float* head = x + h * dim;
    if (!norm.empty())
      context_.kernels.rms_norm(head, norm.data(), static_cast<float>(config_.rms_norm_eps), dim,
                                head);
    rotate(context_.kernels, config_.rope.layout, head, angles, dim);
  }
}

// The queries of the heads that share a key head are brought together, token by token, so that all
// of them meet each key at once.
void DenseAttention::attend(const Batch& batch, const KvCache& cache, int64_t layer,
                            const Task& task, int64_t kv_head, Scratch& scratch) {
  const Segment& segment = batch.segments[static_cast<size_t>(task.segment)];
  const int64_t dim = config_.head_dim;
  const int64_t group = config_.heads / config_.kv_heads;
  const int64_t first_row = batch.first_row[static_cast<size_t>(task.segment)] + task.first;
  const int64_t end = segment.start + task.first + task.count;
  const int64_t offset = kv_head * group * dim;
  const auto bytes = static_cast<size_t>(group * dim) * sizeof(float);
  float* q = scratch.q.get(task.count * group * dim);
  float* o = scratch.o.get(task.count * group * dim);
  for (int64_t t = 0; t < task.count; ++t)
    std::memcpy(q + t * group * dim, q_ + (first_row + t) * q_width_ + offset, bytes);
  const Queries queries{.q = q,
                        .q_stride = dim,
                        .width = dim,
                        .count = task.count * group,
                        .per_position = group,
                        .first_position = segment.start + task.first,
                        .scale = static_cast<float>(config_.attention_scale),
                        .o = o,
                        .o_stride = dim,
                        .o_width = dim,
                        .state = scratch.state.get(2 * task.count * group)};
  const bool bf16 = attends_bf16(context_, cache);
  const int64_t packed_size = kernels::packed_queries_size(queries.count, dim);
  Bf16Walk walk(context_, queries,
                reinterpret_cast<uint16_t*>(scratch.packed.bytes(2 * packed_size)));
  if (bf16) {
    walk.pack();
    walk.start();
  }
  for (int64_t first = 0; first < end; first += KvCache::page_tokens) {
    const int64_t n = std::min(KvCache::page_tokens, end - first);
    const int64_t page = first / KvCache::page_tokens;
    const auto keys = page_rows(cache, layer, segment, page, kv_head * dim, n);
    const auto values = page_rows(cache, layer, segment, page, kv_width_ + kv_head * dim, n);
    if (bf16)
      walk.attend_page(keys, values, first, {}, scratch.attend);
    else
      attend_page(context_.kernels, queries, keys, values, first, first == 0);
  }
  if (bf16)
    walk.finish(o, dim);
  else
    attend_finish(queries);
  for (int64_t t = 0; t < task.count; ++t)
    std::memcpy(out_ + (first_row + t) * q_width_ + offset, o + t * group * dim, bytes);
}

}  // namespace hadal::model
