#include <cmath>

#include "base/error.h"
#include "format/config_write.h"
#include "model/rope.h"

namespace hadal::format {
namespace {

using model::Architecture;
using model::ModelConfig;
using model::RopeScaling;

std::string_view architecture_name(Architecture architecture) {
  switch (architecture) {
    case Architecture::deepseek2:
      return "deepseek2";
    case Architecture::llama:
      return "llama";
    case Architecture::qwen2:
      return "qwen2";
    case Architecture::qwen3:
      return "qwen3";
  }
  return "";
}

// Adds "deepseek2.block_count" and so on.
class Section {
 public:
  Section(GgufKeys& keys, std::string_view prefix) : keys_(keys), prefix_(prefix) {}
  void integer(std::string_view key, int64_t value) {
    keys_.add_u32(name(key), static_cast<uint32_t>(value));
  }
  void real(std::string_view key, double value) {
    keys_.add_f32(name(key), static_cast<float>(value));
  }
  void boolean(std::string_view key, bool value) { keys_.add_bool(name(key), value); }
  void string(std::string_view key, std::string_view value) { keys_.add_string(name(key), value); }

 private:
  std::string name(std::string_view key) const { return fmt::format("{}.{}", prefix_, key); }
  GgufKeys& keys_;
  std::string_view prefix_;
};

void add_rope(const ModelConfig& c, Section& s) {
  s.real("rope.freq_base", c.rope.theta);
  s.integer("rope.dimension_count", c.is_mla() ? c.qk_rope_dim : c.head_dim);
  if (c.rope.scaling != RopeScaling::yarn) return;
  s.string("rope.scaling.type", "yarn");
  s.real("rope.scaling.factor", c.rope.factor);
  s.integer("rope.scaling.original_context_length", c.rope.original_context);
  s.real("rope.scaling.yarn_beta_fast", c.rope.beta_fast);
  s.real("rope.scaling.yarn_beta_slow", c.rope.beta_slow);
  const double log_factor = std::log(c.rope.factor);
  if (c.is_mla()) {
    // attention_scale = mscale^2 / sqrt(width), mscale = 1 + 0.1 * mscale_all_dim * ln(factor).
    const auto width = static_cast<double>(c.qk_nope_dim + c.qk_rope_dim);
    const double mscale = std::sqrt(c.attention_scale * std::sqrt(width));
    if (log_factor > 0.0) s.real("rope.scaling.yarn_log_multiplier", (mscale - 1.0) / log_factor);
  } else {
    s.real("rope.scaling.yarn_attn_factor", c.rope.magnitude / (1.0 + 0.1 * log_factor));
  }
}

void add_mla(const ModelConfig& c, MlaKeys mla, Section& s) {
  s.integer("leading_dense_block_count", c.experts > 0 ? c.first_dense_layers : c.layers);
  s.integer("vocab_size", c.vocab_size);
  if (c.q_lora_rank > 0) s.integer("attention.q_lora_rank", c.q_lora_rank);
  s.integer("attention.kv_lora_rank", c.kv_lora_rank);
  const int64_t key = c.qk_nope_dim + c.qk_rope_dim;
  if (mla == MlaKeys::shared_head) {
    s.integer("attention.key_length", c.kv_lora_rank + c.qk_rope_dim);
    s.integer("attention.value_length", c.kv_lora_rank);
    s.integer("attention.key_length_mla", key);
    s.integer("attention.value_length_mla", c.v_dim);
  } else {
    s.integer("attention.key_length", key);
    s.integer("attention.value_length", c.v_dim);
  }
  if (c.experts == 0) return;
  s.integer("expert_feed_forward_length", c.moe_intermediate_size);
  s.integer("expert_count", c.experts);
  s.integer("expert_used_count", c.experts_per_token);
  s.integer("expert_shared_count", c.shared_experts);
  s.integer("expert_group_count", c.expert_groups);
  s.integer("expert_group_used_count", c.expert_groups_used);
  s.integer("expert_gating_func", c.scoring == model::Scoring::sigmoid ? 2 : 1);
  s.real("expert_weights_scale", c.expert_weights_scale);
  s.boolean("expert_weights_norm", c.normalize_expert_weights);
  if (c.mtp_layers > 0) s.integer("nextn_predict_layers", c.mtp_layers);
}

}  // namespace

std::vector<float> rope_factors(const ModelConfig& c) {
  if (c.rope.scaling == RopeScaling::factors) return c.rope.factors;
  if (c.rope.scaling != RopeScaling::llama3) return {};
  const int64_t dim = c.is_mla() ? c.qk_rope_dim : c.head_dim;
  model::RopeConfig plain = c.rope;
  plain.scaling = RopeScaling::none;
  const model::Rope unscaled(plain, dim), scaled(c.rope, dim);
  std::vector<float> factors;
  for (size_t k = 0; k < scaled.frequencies().size(); ++k) {
    factors.push_back(static_cast<float>(unscaled.frequencies()[k] / scaled.frequencies()[k]));
  }
  return factors;
}

void add_model_keys(const ModelConfig& c, uint32_t file_type, GgufKeys& keys, MlaKeys mla) {
  const std::string_view architecture = architecture_name(c.architecture);
  keys.add_string("general.architecture", architecture);
  keys.add_string("general.type", "model");
  keys.add_string("general.name", c.name);
  Section s(keys, architecture);
  s.integer("block_count", c.layers + c.mtp_layers);
  s.integer("context_length", c.context_length);
  s.integer("embedding_length", c.hidden_size);
  s.integer("feed_forward_length", c.intermediate_size);
  s.integer("attention.head_count", c.heads);
  const bool shared_head = c.is_mla() && mla == MlaKeys::shared_head;
  const int64_t kv_heads = c.is_mla() ? c.heads : c.kv_heads;
  s.integer("attention.head_count_kv", shared_head ? 1 : kv_heads);
  s.real("attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  add_rope(c, s);
  if (c.is_mla()) {
    add_mla(c, mla, s);
  } else {
    s.integer("vocab_size", c.vocab_size);
    s.integer("attention.key_length", c.head_dim);
    s.integer("attention.value_length", c.head_dim);
  }
  keys.add_u32("general.file_type", file_type);
  keys.add_u32("general.quantization_version", 2);
}

void add_tokenizer_keys(const GgufTokenizer& t, const std::string& chat_template,
                        int64_t vocab_size, GgufKeys& keys) {
  constexpr int32_t unused = 5;
  std::vector<std::string_view> tokens = t.tokens;
  std::vector<int32_t> types = t.types;
  std::vector<std::string> padding;
  for (int64_t id = static_cast<int64_t>(tokens.size()); id < vocab_size; ++id) {
    padding.push_back(fmt::format("[PAD{}]", id));
    types.push_back(unused);
  }
  tokens.insert(tokens.end(), padding.begin(), padding.end());
  keys.add_string("tokenizer.ggml.model", t.model);
  keys.add_string("tokenizer.ggml.pre", t.pre);
  keys.add_strings("tokenizer.ggml.tokens", tokens);
  keys.add_i32s("tokenizer.ggml.token_type", types);
  keys.add_strings("tokenizer.ggml.merges", t.merges);
  keys.add_bool("tokenizer.ggml.add_bos_token", t.add_bos);
  keys.add_bool("tokenizer.ggml.add_eos_token", t.add_eos);
  if (t.nfc) keys.add_bool("hadal.tokenizer.nfc", *t.nfc);
  if (!chat_template.empty()) keys.add_string("tokenizer.chat_template", chat_template);
}

void add_token_ids(const ModelConfig& c, const GgufTokenizer* t, GgufKeys& keys) {
  const auto add = [&](std::string_view key, int32_t from_tokenizer, int32_t from_config) {
    const int32_t id = from_tokenizer >= 0 ? from_tokenizer : from_config;
    if (id >= 0) keys.add_u32(key, static_cast<uint32_t>(id));
  };
  add("tokenizer.ggml.bos_token_id", t ? t->bos_id : -1, c.bos_id);
  add("tokenizer.ggml.padding_token_id", t ? t->pad_id : -1, c.pad_id);
  // Answers end at any of the config's ids; the second one is what GGUF calls the end of a turn.
  std::vector<int32_t> ends = c.eos_ids;
  if (t && t->eos_id >= 0) {
    std::erase(ends, t->eos_id);
    ends.insert(ends.begin(), t->eos_id);
  }
  if (!ends.empty()) add("tokenizer.ggml.eos_token_id", -1, ends[0]);
  add("tokenizer.ggml.eot_token_id", t ? t->eot_id : -1, ends.size() > 1 ? ends[1] : -1);
}

}  // namespace hadal::format
