// A network with every kind of layer, small enough for tests.
#pragma once

#include <vector>

#include "base/random.h"
#include "train/network.h"

namespace hadal::train {

inline model::ModelConfig small_config() {
  model::ModelConfig c;
  c.vocab_size = 96;
  c.hidden_size = 64;
  c.layers = 2;
  c.heads = c.kv_heads = 2;
  c.context_length = 1024;
  c.tied_head = true;
  c.q_lora_rank = 40;
  c.kv_lora_rank = 32;
  c.qk_nope_dim = 24;
  c.qk_rope_dim = 8;
  c.v_dim = 24;
  c.attention_scale = 0.18;
  c.intermediate_size = 80;
  c.moe_intermediate_size = 48;
  c.experts = 4;
  c.experts_per_token = 2;
  c.shared_experts = 1;
  c.first_dense_layers = 1;
  c.scoring = model::Scoring::sigmoid;
  c.normalize_expert_weights = true;
  c.mtp_layers = 1;
  return c;
}

// Documents of these lengths, a sequence each.
inline Batch batch_of(const std::vector<int64_t>& lengths) {
  Batch batch;
  batch.documents.push_back(0);
  for (const int64_t length : lengths) batch.documents.push_back(batch.documents.back() + length);
  batch.sequences = batch.documents;
  for (int64_t i = 0; i < batch.documents.back(); ++i) {
    const auto draw = [&](uint64_t stream) {
      return static_cast<int32_t>(96 * random_uniform(4, stream, static_cast<uint64_t>(i)));
    };
    batch.tokens.push_back(draw(0));
    batch.targets.push_back(i % 7 == 3 ? -1 : draw(1));
  }
  return batch;
}

inline void set_random(Network& network) {
  uint64_t stream = 0;
  for (Parameter& p : network.parameters().list()) {
    ++stream;
    for (int64_t i = 0; p.has_gradient && i < p.size(); ++i)
      p.value[i] = (p.shape.size() == 1 ? 1.0f : 0.0f) +
                   0.1f * random_normal(9, stream, static_cast<uint64_t>(i));
  }
}

// Longer than the spans and chunks of rows that the passes work in, and shorter than any.
inline const std::vector<int64_t> lengths = {600, 1, 33, 70};

}  // namespace hadal::train
