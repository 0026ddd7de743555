#include <cmath>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "format/config_write.h"
#include "model/rope.h"

namespace hadal::format {
namespace {

using model::Architecture;
using model::ModelConfig;
using model::RopeConfig;
using model::RopeScaling;
using Json = nlohmann::ordered_json;

// Numbers that were floats in a GGUF file look as they were meant: 1e-06, not 9.99999997e-07.
double tidy(double x) {
  const auto narrow = static_cast<float>(x);
  if (static_cast<double>(narrow) != x) return x;
  return std::strtod(fmt::format("{}", narrow).c_str(), nullptr);
}

struct Names {
  const char* model_type;
  const char* architecture;
};

Names names_of(const ModelConfig& c) {
  switch (c.architecture) {
    case Architecture::deepseek2:
      if (c.scoring == model::Scoring::softmax) return {"deepseek_v2", "DeepseekV2ForCausalLM"};
      return {"deepseek_v3", "DeepseekV3ForCausalLM"};
    case Architecture::llama:
      return {"llama", "LlamaForCausalLM"};
    case Architecture::qwen2:
      return {"qwen2", "Qwen2ForCausalLM"};
    case Architecture::qwen3:
      return {"qwen3", "Qwen3ForCausalLM"};
  }
  return {"", ""};
}

// The mscale for which 1 + 0.1 * mscale * ln(factor) is `value`.
double mscale_of(double value, double factor) {
  if (factor <= 1.0) return 1.0;
  return std::round((value - 1.0) / (0.1 * std::log(factor)) * 1e6) / 1e6;
}

Json yarn(const ModelConfig& c) {
  const RopeConfig& rope = c.rope;
  Json json = {{"type", "yarn"},
               {"rope_type", "yarn"},
               {"factor", tidy(rope.factor)},
               {"original_max_position_embeddings", rope.original_context},
               {"beta_fast", tidy(rope.beta_fast)},
               {"beta_slow", tidy(rope.beta_slow)}};
  if (!c.is_mla()) {
    json["attention_factor"] = tidy(rope.magnitude);
    return json;
  }
  const auto width = static_cast<double>(c.qk_nope_dim + c.qk_rope_dim);
  const double all_dim = std::sqrt(c.attention_scale * std::sqrt(width));
  json["mscale"] = mscale_of(rope.magnitude * all_dim, rope.factor);
  json["mscale_all_dim"] = mscale_of(all_dim, rope.factor);
  // Where both are 0, transformers would take its default instead.
  if (json["mscale_all_dim"] == 0.0) json["attention_factor"] = tidy(rope.magnitude);
  return json;
}

Json llama3(const RopeConfig& rope) {
  return {{"rope_type", "llama3"},
          {"factor", tidy(rope.factor)},
          {"low_freq_factor", tidy(rope.low_freq_factor)},
          {"high_freq_factor", tidy(rope.high_freq_factor)},
          {"original_max_position_embeddings", rope.original_context}};
}

// GGUF files hold only what Llama 3's scaling comes to. Its parameters are found again by trying:
// all published models have 1 and 4, and a power of two as original context.
RopeConfig llama3_of_factors(const ModelConfig& c) {
  ModelConfig guess = c;
  guess.rope.scaling = RopeScaling::llama3;
  guess.rope.factors.clear();
  guess.rope.factor = std::round(c.rope.factors.back());
  guess.rope.low_freq_factor = 1.0;
  guess.rope.high_freq_factor = 4.0;
  for (int64_t context = 16; context <= int64_t{1} << 24; context *= 2) {
    guess.rope.original_context = context;
    const std::vector<float> factors = rope_factors(guess);
    bool same = factors.size() == c.rope.factors.size();
    for (size_t k = 0; same && k < factors.size(); ++k) {
      same = std::abs(factors[k] - c.rope.factors[k]) <= 1e-3f * factors[k];
    }
    if (same) return guess.rope;
  }
  fail(ErrorKind::unsupported,
       "{}: the factors of rope_freqs.weight are not those of Llama 3's scaling, and config.json "
       "cannot hold any others",
       c.name);
}

void add_rope(const ModelConfig& c, Json& json) {
  json["rope_theta"] = tidy(c.rope.theta);
  switch (c.rope.scaling) {
    case RopeScaling::none:
      json["rope_scaling"] = nullptr;
      break;
    case RopeScaling::yarn:
      json["rope_scaling"] = yarn(c);
      break;
    case RopeScaling::llama3:
      json["rope_scaling"] = llama3(c.rope);
      break;
    case RopeScaling::factors:
      json["rope_scaling"] = llama3(llama3_of_factors(c));
      break;
  }
}

void add_mla(const ModelConfig& c, Json& json) {
  json["q_lora_rank"] = c.q_lora_rank > 0 ? Json(c.q_lora_rank) : Json(nullptr);
  json["kv_lora_rank"] = c.kv_lora_rank;
  json["qk_nope_head_dim"] = c.qk_nope_dim;
  json["qk_rope_head_dim"] = c.qk_rope_dim;
  json["v_head_dim"] = c.v_dim;
  json["num_nextn_predict_layers"] = c.mtp_layers;
  if (c.experts == 0) return;
  const bool v2 = c.scoring == model::Scoring::softmax;
  const char* method = !v2 ? "noaux_tc" : c.expert_groups > 1 ? "group_limited_greedy" : "greedy";
  json["moe_intermediate_size"] = c.moe_intermediate_size;
  json["n_routed_experts"] = c.experts;
  json["num_experts_per_tok"] = c.experts_per_token;
  json["n_shared_experts"] = c.shared_experts;
  json["first_k_dense_replace"] = c.first_dense_layers;
  json["n_group"] = c.expert_groups;
  json["topk_group"] = c.expert_groups_used;
  json["topk_method"] = method;
  json["scoring_func"] = v2 ? "softmax" : "sigmoid";
  json["norm_topk_prob"] = c.normalize_expert_weights;
  json["routed_scaling_factor"] = tidy(c.expert_weights_scale);
  json["moe_layer_freq"] = 1;
}

}  // namespace

std::string hf_config_text(const ModelConfig& c, const std::string& dtype, bool fp8) {
  const Names names = names_of(c);
  Json json;
  json["architectures"] = {names.architecture};
  json["model_type"] = names.model_type;
  json["torch_dtype"] = dtype;
  json["hidden_act"] = "silu";
  json["vocab_size"] = c.vocab_size;
  json["hidden_size"] = c.hidden_size;
  json["intermediate_size"] = c.intermediate_size;
  json["num_hidden_layers"] = c.layers;
  json["num_attention_heads"] = c.heads;
  json["num_key_value_heads"] = c.is_mla() ? c.heads : c.kv_heads;
  json["max_position_embeddings"] = c.context_length;
  json["rms_norm_eps"] = tidy(c.rms_norm_eps);
  json["tie_word_embeddings"] = c.tied_head;
  json["attention_bias"] = c.attention_bias;
  if (!c.is_mla()) json["head_dim"] = c.head_dim;
  if (c.architecture == Architecture::qwen2) json["use_sliding_window"] = false;
  add_rope(c, json);
  if (c.is_mla()) add_mla(c, json);
  if (c.bos_id >= 0) json["bos_token_id"] = c.bos_id;
  if (c.eos_ids.size() == 1) json["eos_token_id"] = c.eos_ids[0];
  if (c.eos_ids.size() > 1) json["eos_token_id"] = c.eos_ids;
  if (c.pad_id >= 0) json["pad_token_id"] = c.pad_id;
  if (fp8)
    json["quantization_config"] = {{"quant_method", "fp8"},
                                   {"fmt", "e4m3"},
                                   {"activation_scheme", "dynamic"},
                                   {"weight_block_size", {128, 128}}};
  return json.dump(2) + "\n";
}

}  // namespace hadal::format
