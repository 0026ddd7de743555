#include "model/mla.h"

namespace hadal::model {
namespace {

// The norms of the compressed queries and of the latent have this epsilon whatever the config says
// (the published code builds them with its default).
constexpr float lora_norm_eps = 1e-6f;

}  // namespace

Mla::Mla(const Context& context, const ModelConfig& config)
    : context_(context),
      config_(config),
      key_dim_(config.qk_nope_dim + config.qk_rope_dim),
      entry_dim_(config.kv_lora_rank + config.qk_rope_dim),
      scratch_(static_cast<size_t>(context.pool.threads())) {}

void Mla::forward(const Attention& w, Input& x, const Batch& batch, KvCache& cache, int64_t layer,
                  float* y) {
  HADAL_CHECK(cache.type() != quant::Type::Q8_0 || attends_bf16(context_, cache),
              "an 8-bit cache outside of native precision");
  const int64_t out_width = config_.heads * config_.v_dim;
  out_ = out_buffer_.get(batch.rows() * out_width);
  project(w, x, batch, cache, layer);
  attend_expanded(w, batch, cache, layer);
  attend_absorbed(w, batch, cache, layer);
  out_input_.set(context_, out_, out_width, batch.rows(), out_width);
  const kernels::Matmul products[] = {out_input_.product(w.o, y, config_.hidden_size)};
  run(context_, products);
}

// c_q = norm(W_qa x), q = W_qb c_q (or q = W_q x); [c ; k_rope] = W_kva x, c normalised.
void Mla::project(const Attention& w, Input& x, const Batch& batch, KvCache& cache, int64_t layer) {
  const int64_t rows = batch.rows();
  const int64_t q_width = config_.heads * key_dim_;
  const bool compressed = config_.q_lora_rank > 0;
  q_ = q_buffer_.get(rows * q_width);
  kv_a_ = kv_a_buffer_.get(rows * entry_dim_);
  if (compressed) q_a_ = q_a_buffer_.get(rows * config_.q_lora_rank);
  const kernels::Matmul first[] = {
      compressed ? x.product(w.q_a, q_a_, config_.q_lora_rank) : x.product(w.q, q_, q_width),
      x.product(w.kv_a, kv_a_, entry_dim_)};
  run(context_, first);
  context_.pool.parallel_for(rows, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) finish_row(w, batch, cache, layer, r);
  });
  if (!compressed) return;
  q_a_input_.set(context_, q_a_, config_.q_lora_rank, rows, config_.q_lora_rank);
  const kernels::Matmul second[] = {q_a_input_.product(w.q_b, q_, q_width)};
  run(context_, second);
  context_.pool.parallel_for(rows, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) rotate_queries(batch, r);
  });
}

// Norms, rotation of the key part, and the cache entry of one row.
void Mla::finish_row(const Attention& w, const Batch& batch, KvCache& cache, int64_t layer,
                     int64_t row) {
  const auto& k = context_.kernels;
  if (config_.q_lora_rank > 0) {
    float* q_a = q_a_ + row * config_.q_lora_rank;
    k.rms_norm(q_a, w.q_a_norm.data(), lora_norm_eps, config_.q_lora_rank, q_a);
  } else {
    rotate_queries(batch, row);
  }
  float* entry = kv_a_ + row * entry_dim_;
  k.rms_norm(entry, w.kv_a_norm.data(), lora_norm_eps, config_.kv_lora_rank, entry);
  rotate(k, config_.rope.layout, entry + config_.kv_lora_rank,
         batch.angles + row * batch.angle_stride, config_.qk_rope_dim);
  store(k, cache.type(), entry, entry_dim_, batch.cache_entry(cache, layer, row));
}

void Mla::rotate_queries(const Batch& batch, int64_t row) {
  float* q = q_ + row * config_.heads * key_dim_ + config_.qk_nope_dim;
  for (int64_t h = 0; h < config_.heads; ++h)
    rotate(context_.kernels, config_.rope.layout, q + h * key_dim_,
           batch.angles + row * batch.angle_stride, config_.qk_rope_dim);
}

}  // namespace hadal::model
