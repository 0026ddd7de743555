#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "format/config_read.h"
#include "format/json_guard.h"
#include "format/printable.h"

namespace hadal::format {
namespace {

using model::Architecture;
using model::GroupScore;
using model::ModelConfig;
using model::RopeConfig;
using model::RopeLayout;
using model::RopeScaling;
using model::Scoring;

Architecture architecture_of(const std::string& type, const std::string& source) {
  if (type == "deepseek_v2" || type == "deepseek_v3" || type == "kimi_k2")
    return Architecture::deepseek2;
  if (type == "llama") return Architecture::llama;
  if (type == "qwen2") return Architecture::qwen2;
  if (type == "qwen3") return Architecture::qwen3;
  refuse_architecture(type, source);
}

void refuse_unless(bool condition, const JsonObject& json, std::string_view key,
                   std::string_view why) {
  if (!condition)
    fail(ErrorKind::unsupported, "{}: Hadal does not run models whose {} says otherwise than {}",
         json.source(), json.name(key), why);
}

// -1 if absent.
int32_t token_id(const JsonObject& json, std::string_view key, int64_t vocab_size) {
  const int64_t id = json.integer_or(key, -1);
  if (id < -1 || id >= vocab_size || id > INT32_MAX)
    fail(ErrorKind::format, "{}: {} {} is none of the {} tokens", json.source(), json.name(key), id,
         vocab_size);
  return static_cast<int32_t>(id);
}

void read_attention(const JsonObject& json, ModelConfig& c) {
  c.kv_heads = json.integer_or("num_key_value_heads", c.heads);
  if (!c.is_mla()) {
    const int64_t fallback = c.architecture == Architecture::qwen3 ? 128
                             : c.heads > 0                         ? c.hidden_size / c.heads
                                                                   : 0;
    c.head_dim = json.integer_or("head_dim", fallback);
    c.attention_bias = c.architecture == Architecture::qwen2;
    c.qk_norm = c.architecture == Architecture::qwen3;
    if (!c.attention_bias)
      refuse_unless(!json.boolean_or("attention_bias", false), json, "attention_bias", "false");
    refuse_unless(!json.boolean_or("use_sliding_window", false), json, "use_sliding_window",
                  "false");
    return;
  }
  refuse_unless(!json.boolean_or("attention_bias", false), json, "attention_bias", "false");
  c.q_lora_rank = json.integer_or("q_lora_rank", 0);
  c.kv_lora_rank = json.integer("kv_lora_rank");
  c.qk_nope_dim = json.integer("qk_nope_head_dim");
  c.qk_rope_dim = json.integer("qk_rope_head_dim");
  c.v_dim = json.integer("v_head_dim");
}

void read_router(const JsonObject& json, bool v2, ModelConfig& c, std::vector<std::string>& notes) {
  // transformers' own configs of V2 and V3 leave the fields out that never vary.
  const std::string scoring = json.string_or("scoring_func", v2 ? "softmax" : "sigmoid");
  if (scoring != "softmax" && scoring != "sigmoid")
    fail(ErrorKind::unsupported, "{}: {} is \"{}\", expected softmax or sigmoid", json.source(),
         json.name("scoring_func"), printable(scoring));
  c.scoring = scoring == "softmax" ? Scoring::softmax : Scoring::sigmoid;
  const std::string method = json.string_or("topk_method", v2 ? "greedy" : "noaux_tc");
  c.expert_groups = json.integer_or("n_group", 1);
  c.expert_groups_used = json.integer_or("topk_group", 1);
  if (method == "greedy") {
    c.expert_groups = c.expert_groups_used = 1;
  } else if (method == "group_limited_greedy") {
    c.group_score = GroupScore::max;
  } else if (method == "noaux_tc") {
    c.group_score = GroupScore::top2_sum;
  } else {
    fail(ErrorKind::unsupported,
         "{}: {} is \"{}\", expected greedy, group_limited_greedy or noaux_tc", json.source(),
         json.name("topk_method"), printable(method));
  }
  c.normalize_expert_weights = json.boolean_or("norm_topk_prob", !v2);
  c.expert_weights_scale = json.real_or("routed_scaling_factor", v2 ? 1.0 : 2.5);
  if (v2 && c.normalize_expert_weights && c.expert_weights_scale != 1.0) {
    // DeepSeek's V2 code: weights are either normalised or scaled.
    c.expert_weights_scale = 1.0;
    notes.push_back("norm_topk_prob is true in a V2 model: routed_scaling_factor is not used");
  }
}

void read_feed_forward(const JsonObject& json, bool v2, ModelConfig& c,
                       std::vector<std::string>& notes) {
  const std::string activation = json.string_or("hidden_act", "silu");
  refuse_unless(activation == "silu", json, "hidden_act", "silu");
  refuse_unless(!json.boolean_or("mlp_bias", false), json, "mlp_bias", "false");
  c.intermediate_size = json.integer("intermediate_size");
  if (!c.is_mla()) return;
  c.experts = json.integer_or("n_routed_experts", 0);
  if (c.experts == 0) return;
  refuse_unless(json.integer_or("moe_layer_freq", 1) == 1, json, "moe_layer_freq", "1");
  c.experts_per_token = json.integer("num_experts_per_tok");
  c.shared_experts = json.integer_or("n_shared_experts", 0);
  c.moe_intermediate_size = json.integer("moe_intermediate_size");
  c.first_dense_layers = json.integer_or("first_k_dense_replace", 0);
  read_router(json, v2, c, notes);
}

void read_yarn(const JsonObject& scaling, ModelConfig& c) {
  RopeConfig& rope = c.rope;
  rope.scaling = RopeScaling::yarn;
  rope.factor = scaling.real("factor");
  if (!(rope.factor >= 1.0))
    fail(ErrorKind::format, "{}: {} is {}, expected at least 1", scaling.source(),
         scaling.name("factor"), rope.factor);
  rope.original_context =
      scaling.integer_or("original_max_position_embeddings",
                         static_cast<int64_t>(static_cast<double>(c.context_length) / rope.factor));
  rope.beta_fast = scaling.real_or("beta_fast", 32.0);
  rope.beta_slow = scaling.real_or("beta_slow", 1.0);
  refuse_unless(scaling.boolean_or("truncate", true), scaling, "truncate", "true");
  // DeepSeek's code: cos and sin are multiplied by the ratio, scores by mscale_all_dim's square.
  const double all_dim = scaling.real_or("mscale_all_dim", 0.0);
  const double all_dim_factor = yarn_mscale(rope.factor, all_dim);
  rope.magnitude = yarn_mscale(rope.factor, scaling.real_or("mscale", 1.0)) / all_dim_factor;
  if (c.is_mla()) c.attention_scale *= all_dim_factor * all_dim_factor;
  // transformers' own key replaces the factor; R1-0528-Qwen3-8B's attn_factor multiplies it (and
  // cancels it: 0.87825 * (0.1 ln 4 + 1) = 1).
  rope.magnitude = scaling.real_or("attention_factor", rope.magnitude);
  rope.magnitude *= scaling.real_or("attn_factor", 1.0);
  if (std::abs(rope.magnitude - 1.0) < 1e-6) rope.magnitude = 1.0;
}

// rope_theta with rope_scaling, or newer transformers' rope_parameters that holds both.
void read_rope(const JsonObject& json, ModelConfig& c) {
  RopeConfig& rope = c.rope;
  auto scaling = json.object("rope_parameters");
  if (!scaling) scaling = json.object("rope_scaling");
  rope.theta = json.real_or("rope_theta", 10000.0);
  rope.layout = c.is_mla() && json.boolean_or("rope_interleave", true) ? RopeLayout::interleaved
                                                                       : RopeLayout::halves;
  refuse_unless(json.real_or("partial_rotary_factor", 1.0) == 1.0, json, "partial_rotary_factor",
                "1");
  if (!scaling) return;
  rope.theta = scaling->real_or("rope_theta", rope.theta);
  const std::string type = scaling->string_or("rope_type", scaling->string_or("type", "default"));
  if (type == "default") return;
  if (type == "yarn" || type == "deepseek_yarn") {
    read_yarn(*scaling, c);
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::llama3;
    rope.factor = scaling->real("factor");
    rope.original_context = scaling->integer("original_max_position_embeddings");
    rope.low_freq_factor = scaling->real("low_freq_factor");
    rope.high_freq_factor = scaling->real("high_freq_factor");
  } else {
    fail(ErrorKind::unsupported, "{}: {} is \"{}\", expected yarn, llama3 or default",
         json.source(), scaling->name("rope_type"), printable(type));
  }
}

bool read_quantization(const JsonObject& json) {
  const auto quantization = json.object("quantization_config");
  if (!quantization) return false;
  const std::string method = quantization->string_or("quant_method", "");
  const std::string fmt = quantization->string_or("fmt", "e4m3");
  if (method != "fp8" || fmt != "e4m3")
    fail(ErrorKind::unsupported,
         "{}: the weights are quantised by \"{}\" ({}); Hadal reads DeepSeek's fp8 (e4m3)",
         json.source(), printable(method), printable(fmt));
  if (quantization->integers("weight_block_size") != std::vector<int64_t>{128, 128})
    fail(ErrorKind::unsupported, "{}: quantization_config.weight_block_size is not [128, 128]",
         json.source());
  return true;
}

std::string model_type_of(const JsonObject& json) {
  std::string type = json.string_or("model_type", "");
  if (!type.empty()) return type;
  const nlohmann::json* names = json.find("architectures");
  if (names == nullptr || !names->is_array() || names->empty() || !names->front().is_string())
    fail(ErrorKind::format, "{}: the key model_type is missing", json.source());
  auto name = names->front().get<std::string>();
  constexpr std::pair<std::string_view, const char*> classes[] = {
      {"DeepseekV2ForCausalLM", "deepseek_v2"},
      {"DeepseekV3ForCausalLM", "deepseek_v3"},
      {"DeepseekV32ForCausalLM", "deepseek_v32"},
      {"DeepseekV4ForCausalLM", "deepseek_v4"},
      {"LlamaForCausalLM", "llama"},
      {"Qwen2ForCausalLM", "qwen2"},
      {"Qwen3ForCausalLM", "qwen3"}};
  for (const auto& [known, known_type] : classes)
    if (name == known) return known_type;
  return name;
}

}  // namespace

HfConfig read_hf_config(const nlohmann::json& value, const std::string& source) {
  const JsonObject json(value, source);
  HfConfig result;
  ModelConfig& c = result.model;
  c.source = model_type_of(json);
  c.architecture = architecture_of(c.source, source);
  if (json.has("index_topk") || json.has("index_n_heads"))
    refuse_architecture("deepseek_v32", source);
  const bool v2 = c.source == "deepseek_v2";
  c.vocab_size = json.integer("vocab_size");
  c.hidden_size = json.integer("hidden_size");
  c.layers = json.integer("num_hidden_layers");
  c.heads = json.integer("num_attention_heads");
  c.context_length = json.integer("max_position_embeddings");
  c.rms_norm_eps = json.real_or("rms_norm_eps", 1e-6);
  c.tied_head = json.boolean_or("tie_word_embeddings", false);
  read_attention(json, c);
  read_feed_forward(json, v2, c, result.notes);
  const int64_t head_dim = c.is_mla() ? c.qk_nope_dim + c.qk_rope_dim : c.head_dim;
  c.attention_scale = head_dim > 0 ? 1.0 / std::sqrt(static_cast<double>(head_dim)) : 0.0;
  read_rope(json, c);
  c.mtp_layers = c.is_mla() ? json.integer_or("num_nextn_predict_layers", 0) : 0;
  c.bos_id = token_id(json, "bos_token_id", c.vocab_size);
  c.pad_id = token_id(json, "pad_token_id", c.vocab_size);
  for (const int64_t id : json.integers("eos_token_id")) {
    if (id < 0 || id >= c.vocab_size || id > INT32_MAX)
      fail(ErrorKind::format, "{}: eos_token_id {} is none of the {} tokens", source, id,
           c.vocab_size);
    c.eos_ids.push_back(static_cast<int32_t>(id));
  }
  result.fp8 = read_quantization(json);
  validate_config(c, source);
  return result;
}

}  // namespace hadal::format
