// Tiny models with random weights, built in memory, in any form and number format.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/weights.h"
#include "quant/format.h"

namespace hadal::testing {

struct TinyOptions {
  model::Architecture architecture = model::Architecture::deepseek2;
  quant::Type type = quant::Type::F32;
  int64_t hidden = 64;  // every other width follows; 256 for K-quants
  bool compressed_queries = true;
  bool split_kv_b = false;  // k_b and v_b instead of kv_b
  model::Scoring scoring = model::Scoring::sigmoid;
  int64_t mtp_layers = 0;
  int64_t vocab = 96;
  uint64_t seed = 1;
};

inline model::ModelConfig tiny_config(const TinyOptions& o) {
  model::ModelConfig c;
  c.architecture = o.architecture;
  c.vocab_size = o.vocab;
  c.hidden_size = o.hidden;
  c.layers = 2;
  c.heads = 4;
  c.context_length = 4096;
  c.intermediate_size = o.hidden;
  if (o.architecture == model::Architecture::deepseek2) {
    c.kv_heads = 4;
    c.q_lora_rank = o.compressed_queries ? o.hidden : 0;
    c.kv_lora_rank = o.hidden;
    c.qk_nope_dim = 32;
    c.qk_rope_dim = 16;
    c.v_dim = o.hidden / 4;
    c.attention_scale = 1.0 / std::sqrt(48.0);
    c.moe_intermediate_size = o.hidden;
    c.experts = 8;
    c.experts_per_token = 3;
    c.shared_experts = 1;
    c.first_dense_layers = 1;
    c.expert_groups = 4;
    c.expert_groups_used = 2;
    c.scoring = o.scoring;
    const bool v3 = o.scoring == model::Scoring::sigmoid;
    c.group_score = v3 ? model::GroupScore::top2_sum : model::GroupScore::max;
    c.normalize_expert_weights = v3;
    c.expert_weights_scale = v3 ? 2.5 : 1.0;
    c.mtp_layers = o.mtp_layers;
  } else {
    c.kv_heads = 2;
    c.head_dim = o.hidden / 4;
    c.attention_scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
    c.attention_bias = o.architecture == model::Architecture::qwen2;
    c.qk_norm = o.architecture == model::Architecture::qwen3;
    c.rope.layout = model::RopeLayout::halves;
  }
  return c;
}

class TinyBuilder {
 public:
  explicit TinyBuilder(const TinyOptions& options) : options_(options) {}

  std::unique_ptr<model::Model> build() {
    auto m = std::make_unique<model::Model>();
    model_ = m.get();
    const model::ModelConfig& c = m->config = tiny_config(options_);
    m->embedding = matrix(c.vocab_size, c.hidden_size);
    m->final_norm = norm(c.hidden_size);
    m->head = matrix(c.vocab_size, c.hidden_size);
    for (int64_t i = 0; i < c.layers; ++i) m->layers.push_back(layer(i));
    for (int64_t i = 0; i < c.mtp_layers; ++i)
      m->mtp.push_back({norm(c.hidden_size), norm(c.hidden_size), norm(c.hidden_size),
                        matrix(c.hidden_size, 2 * c.hidden_size), layer(c.layers + i)});
    return m;
  }

 private:
  float normal() { return random_normal(options_.seed, stream_, index_++); }

  std::byte* own(size_t bytes) {
    auto storage = std::make_shared<std::vector<std::byte>>(bytes + 64);
    model_->storage.push_back(storage);
    return storage->data();
  }

  model::Matrix matrix(int64_t rows, int64_t cols) { return matrix(rows, cols, options_.type); }

  model::Matrix matrix(int64_t rows, int64_t cols, quant::Type type) {
    ++stream_;
    index_ = 0;
    if (type == quant::Type::FP8_E4M3) return fp8_matrix(rows, cols);
    const size_t row_bytes = quant::row_bytes(type, cols);
    std::byte* data = own(static_cast<size_t>(rows) * row_bytes);
    std::vector<float> row(static_cast<size_t>(cols));
    const float scale = 1.5f / std::sqrt(static_cast<float>(cols));
    for (int64_t r = 0; r < rows; ++r) {
      for (float& x : row) x = scale * normal();
      quant::encode_row(type, row.data(), data + static_cast<size_t>(r) * row_bytes, cols);
    }
    return {type, data, rows, cols, static_cast<int64_t>(row_bytes), nullptr, 0};
  }

  model::Matrix fp8_matrix(int64_t rows, int64_t cols) {
    std::byte* data = own(static_cast<size_t>(rows * cols));
    for (int64_t i = 0; i < rows * cols; ++i) {
      const auto code = static_cast<uint8_t>(
          256.0 * random_uniform(options_.seed, stream_, static_cast<uint64_t>(i)));
      data[i] = static_cast<std::byte>((code & 0x7f) == 0x7f ? 0 : code);  // no NaN
    }
    const int64_t stride = (cols + 127) / 128;
    const int64_t tiles = (rows + 127) / 128 * stride;
    auto* scales = reinterpret_cast<float*>(own(static_cast<size_t>(tiles) * sizeof(float)));
    for (int64_t i = 0; i < tiles; ++i)
      scales[i] = (1.0f + 0.1f * normal()) / (100.0f * std::sqrt(static_cast<float>(cols)));
    return {quant::Type::FP8_E4M3, data, rows, cols, cols, scales, stride};
  }

  std::vector<float> norm(int64_t n) {
    ++stream_;
    index_ = 0;
    std::vector<float> weight(static_cast<size_t>(n));
    for (float& w : weight) w = 1.0f + 0.1f * normal();
    return weight;
  }

  std::vector<float> bias(int64_t n) {
    ++stream_;
    index_ = 0;
    std::vector<float> values(static_cast<size_t>(n));
    for (float& v : values) v = 0.2f * normal();
    return values;
  }

  model::Mlp mlp(int64_t width) {
    const int64_t hidden = options_.hidden;
    return {matrix(width, hidden), matrix(width, hidden), matrix(hidden, width)};
  }

  model::Attention attention() {
    const model::ModelConfig& c = model_->config;
    model::Attention a;
    if (!c.is_mla()) {
      const int64_t q = c.heads * c.head_dim;
      const int64_t kv = c.kv_heads * c.head_dim;
      a.q = matrix(q, c.hidden_size);
      a.k = matrix(kv, c.hidden_size);
      a.v = matrix(kv, c.hidden_size);
      a.o = matrix(c.hidden_size, q);
      if (c.attention_bias) a.q_bias = bias(q), a.k_bias = bias(kv), a.v_bias = bias(kv);
      if (c.qk_norm) a.q_norm = norm(c.head_dim), a.k_norm = norm(c.head_dim);
      return a;
    }
    const int64_t q = c.heads * (c.qk_nope_dim + c.qk_rope_dim);
    if (c.q_lora_rank > 0) {
      a.q_a = matrix(c.q_lora_rank, c.hidden_size);
      a.q_a_norm = norm(c.q_lora_rank);
      a.q_b = matrix(q, c.q_lora_rank);
    } else {
      a.q = matrix(q, c.hidden_size);
    }
    a.kv_a = matrix(c.kv_lora_rank + c.qk_rope_dim, c.hidden_size);
    a.kv_a_norm = norm(c.kv_lora_rank);
    if (options_.split_kv_b) {
      // Rows of k_b are too short for blocks of 256: files hold them in blocks of 32.
      const bool large = quant::type_info(options_.type).block_weights > 32;
      a.k_b = matrix(c.heads * c.kv_lora_rank, c.qk_nope_dim,
                     large ? quant::Type::Q8_0 : options_.type);
      a.v_b = matrix(c.heads * c.v_dim, c.kv_lora_rank);
    } else {
      a.kv_b = matrix(c.heads * (c.qk_nope_dim + c.v_dim), c.kv_lora_rank);
    }
    a.o = matrix(c.hidden_size, c.heads * c.v_dim);
    return a;
  }

  model::Layer layer(int64_t i) {
    const model::ModelConfig& c = model_->config;
    model::Layer l;
    l.attention_norm = norm(c.hidden_size);
    l.ffn_norm = norm(c.hidden_size);
    l.attention = attention();
    if (!c.is_moe_layer(i)) {
      l.dense = mlp(c.intermediate_size);
      return l;
    }
    for (int64_t e = 0; e < c.experts; ++e)
      l.experts.routed.push_back(mlp(c.moe_intermediate_size));
    l.experts.shared = mlp(c.shared_experts * c.moe_intermediate_size);
    l.experts.router = matrix(c.experts, c.hidden_size, quant::Type::F32);
    if (c.scoring == model::Scoring::sigmoid) l.experts.correction_bias = bias(c.experts);
    return l;
  }

  TinyOptions options_;
  model::Model* model_ = nullptr;
  uint64_t stream_ = 0;
  uint64_t index_ = 0;
};

inline std::unique_ptr<model::Model> tiny_model(const TinyOptions& options) {
  return TinyBuilder(options).build();
}

// Token ids that depend on (seed, position) alone.
inline std::vector<int32_t> tiny_tokens(uint64_t seed, int64_t n, int64_t vocab = 96) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i)
    tokens.push_back(static_cast<int32_t>(static_cast<double>(vocab) *
                                          random_uniform(seed, 7, static_cast<uint64_t>(i))));
  return tokens;
}

}  // namespace hadal::testing
