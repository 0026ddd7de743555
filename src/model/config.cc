#include "model/config.h"

#include <cmath>
#include <string_view>

#include "base/error.h"

namespace hadal::model {
namespace {

// Generous limits (several times the largest published model), so that products of sizes cannot
// overflow and a broken file cannot ask for absurd buffers.
constexpr int64_t vocab_max = int64_t{1} << 22;
constexpr int64_t width_max = int64_t{1} << 20;
constexpr int64_t layers_max = 4096;
constexpr int64_t heads_max = 4096;
constexpr int64_t experts_max = 65536;
constexpr int64_t context_max = int64_t{1} << 30;

void in_range(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high)
    fail(ErrorKind::format, "config: {} is {}, expected {} to {}", field, value, low, high);
}

void positive_real(std::string_view field, double value) {
  if (!(std::isfinite(value) && value > 0.0))
    fail(ErrorKind::format, "config: {} is {}, expected a positive number", field, value);
}

void even(std::string_view field, int64_t value) {
  if (value % 2 != 0)
    fail(ErrorKind::format, "config: {} is {}, expected an even number", field, value);
}

void validate_mla(const ModelConfig& c) {
  in_range("q_lora_rank", c.q_lora_rank, 0, width_max);
  in_range("kv_lora_rank", c.kv_lora_rank, 1, width_max);
  in_range("qk_nope_head_dim", c.qk_nope_dim, 1, width_max / 16);
  in_range("qk_rope_head_dim", c.qk_rope_dim, 2, width_max / 16);
  in_range("v_head_dim", c.v_dim, 1, width_max / 16);
  even("qk_rope_head_dim", c.qk_rope_dim);
}

void validate_dense_attention(const ModelConfig& c) {
  in_range("num_key_value_heads", c.kv_heads, 1, c.heads);
  if (c.heads % c.kv_heads != 0)
    fail(ErrorKind::format,
         "config: num_attention_heads {} is no multiple of num_key_value_heads {}", c.heads,
         c.kv_heads);
  in_range("head_dim", c.head_dim, 2, width_max / 16);
  even("head_dim", c.head_dim);
}

void validate_experts(const ModelConfig& c) {
  in_range("n_routed_experts", c.experts, 1, experts_max);
  in_range("num_experts_per_tok", c.experts_per_token, 1, c.experts);
  in_range("n_shared_experts", c.shared_experts, 0, 1024);
  in_range("moe_intermediate_size", c.moe_intermediate_size, 1, width_max);
  in_range("first_k_dense_replace", c.first_dense_layers, 0, c.layers);
  in_range("n_group", c.expert_groups, 1, c.experts);
  in_range("topk_group", c.expert_groups_used, 1, c.expert_groups);
  if (c.experts % c.expert_groups != 0)
    fail(ErrorKind::format, "config: n_routed_experts {} is no multiple of n_group {}", c.experts,
         c.expert_groups);
  if (c.experts / c.expert_groups * c.expert_groups_used < c.experts_per_token)
    fail(ErrorKind::format,
         "config: {} of {} groups hold fewer than num_experts_per_tok {} experts",
         c.expert_groups_used, c.expert_groups, c.experts_per_token);
  positive_real("routed_scaling_factor", c.expert_weights_scale);
}

void validate_rope(const ModelConfig& c) {
  const RopeConfig& r = c.rope;
  positive_real("rope_theta", r.theta);
  positive_real("rope magnitude", r.magnitude);
  if (r.scaling == RopeScaling::none) return;
  if (r.scaling == RopeScaling::factors) {
    const int64_t dim = c.is_mla() ? c.qk_rope_dim : c.head_dim;
    if (static_cast<int64_t>(r.factors.size()) != dim / 2)
      fail(ErrorKind::format, "config: {} rope factors, expected {}", r.factors.size(), dim / 2);
    for (const float factor : r.factors) positive_real("rope factor", static_cast<double>(factor));
    return;
  }
  positive_real("rope_scaling.factor", r.factor);
  in_range("rope_scaling.original_max_position_embeddings", r.original_context, 1, context_max);
  if (r.scaling == RopeScaling::yarn) {
    positive_real("rope_scaling.beta_fast", r.beta_fast);
    positive_real("rope_scaling.beta_slow", r.beta_slow);
    if (r.theta <= 1.0) fail(ErrorKind::format, "config: rope_theta {} is too small", r.theta);
  } else {
    positive_real("rope_scaling.low_freq_factor", r.low_freq_factor);
    positive_real("rope_scaling.high_freq_factor", r.high_freq_factor);
    if (r.high_freq_factor <= r.low_freq_factor)
      fail(ErrorKind::format, "config: rope_scaling.high_freq_factor {} is not above low {}",
           r.high_freq_factor, r.low_freq_factor);
  }
}

int64_t attention_parameters(const ModelConfig& c) {
  if (!c.is_mla()) {
    const int64_t q = c.heads * c.head_dim;
    const int64_t kv = c.kv_heads * c.head_dim;
    return c.hidden_size * (2 * q + 2 * kv) + (c.attention_bias ? q + 2 * kv : 0) +
           (c.qk_norm ? 2 * c.head_dim : 0);
  }
  const int64_t q_rows = c.heads * (c.qk_nope_dim + c.qk_rope_dim);
  const int64_t q = c.q_lora_rank > 0
                        ? c.q_lora_rank * (c.hidden_size + 1 + q_rows)  // q_a, its norm, q_b
                        : c.hidden_size * q_rows;
  const int64_t kv_a = c.hidden_size * (c.kv_lora_rank + c.qk_rope_dim) + c.kv_lora_rank;
  const int64_t kv_b = c.heads * (c.qk_nope_dim + c.v_dim) * c.kv_lora_rank;
  return q + kv_a + kv_b + c.heads * c.v_dim * c.hidden_size;
}

}  // namespace

void validate(const ModelConfig& c) {
  in_range("vocab_size", c.vocab_size, 1, vocab_max);
  in_range("hidden_size", c.hidden_size, 1, width_max);
  in_range("num_hidden_layers", c.layers, 1, layers_max);
  in_range("num_attention_heads", c.heads, 1, heads_max);
  in_range("max_position_embeddings", c.context_length, 1, context_max);
  in_range("num_nextn_predict_layers", c.mtp_layers, 0, 16);
  if (!(c.rms_norm_eps >= 0.0 && c.rms_norm_eps < 1.0))
    fail(ErrorKind::format, "config: rms_norm_eps is {}, expected 0 to 1", c.rms_norm_eps);
  positive_real("attention scale", c.attention_scale);
  if (c.is_mla())
    validate_mla(c);
  else
    validate_dense_attention(c);
  if (c.experts > 0) validate_experts(c);
  const bool has_dense_layers = c.experts == 0 || c.first_dense_layers > 0;
  in_range("intermediate_size", c.intermediate_size, has_dense_layers ? 1 : 0, width_max);
  validate_rope(c);
}

ParameterCount count_parameters(const ModelConfig& c) {
  const int64_t embeddings = c.vocab_size * c.hidden_size * (c.tied_head ? 1 : 2);
  const int64_t per_layer = attention_parameters(c) + 2 * c.hidden_size;
  const int64_t moe_layers = c.experts > 0 ? c.layers - c.first_dense_layers : 0;
  const int64_t dense_layers = c.layers - moe_layers;
  const int64_t expert = 3 * c.hidden_size * c.moe_intermediate_size;
  const int64_t router =
      c.experts * c.hidden_size + (c.scoring == Scoring::sigmoid ? c.experts : 0);
  const int64_t always = embeddings + c.hidden_size + c.layers * per_layer +
                         dense_layers * 3 * c.hidden_size * c.intermediate_size +
                         moe_layers * (router + c.shared_experts * expert);
  return {always + moe_layers * c.experts * expert,
          always + moe_layers * c.experts_per_token * expert};
}

}  // namespace hadal::model
