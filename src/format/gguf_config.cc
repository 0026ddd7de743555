#include "format/gguf_config.h"

#include <cmath>

#include "base/error.h"
#include "format/config_read.h"
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

constexpr int64_t mtp_layers_max = 16;

// The keys of one architecture: "block_count" stands for "deepseek2.block_count".
class Keys {
 public:
  Keys(const Gguf& gguf, std::string_view architecture)
      : gguf_(gguf), prefix_(std::string(architecture) + ".") {}

  bool has(std::string_view key) const { return gguf_.has(name(key)); }
  int64_t integer(std::string_view key) const { return gguf_.integer(name(key)); }
  int64_t integer_or(std::string_view key, int64_t otherwise) const {
    return gguf_.integer_or(name(key), otherwise);
  }
  double real(std::string_view key) const { return gguf_.real(name(key)); }
  double real_or(std::string_view key, double otherwise) const {
    return gguf_.real_or(name(key), otherwise);
  }
  bool boolean_or(std::string_view key, bool otherwise) const {
    return gguf_.boolean_or(name(key), otherwise);
  }
  std::string_view string_or(std::string_view key, std::string_view otherwise) const {
    return gguf_.string_or(name(key), otherwise);
  }
  std::string name(std::string_view key) const { return prefix_ + std::string(key); }
  const std::string& source() const { return gguf_.source(); }

 private:
  const Gguf& gguf_;
  std::string prefix_;
};

Architecture architecture_of(std::string_view name, const std::string& source) {
  if (name == "deepseek2") return Architecture::deepseek2;
  if (name == "llama") return Architecture::llama;
  if (name == "qwen2") return Architecture::qwen2;
  if (name == "qwen3") return Architecture::qwen3;
  if (name.empty()) fail(ErrorKind::format, "{}: the key general.architecture is missing", source);
  refuse_architecture(name, source);
}

// Rows of the tensor, or `otherwise` if it is missing.
int64_t rows_or(const TensorTable& table, std::string_view name, int64_t otherwise) {
  const Tensor* tensor = table.find(name);
  return tensor != nullptr && tensor->rank == 2 ? tensor->shape[0] : otherwise;
}

void read_mla(const Keys& keys, const TensorTable& table, ModelConfig& c) {
  c.kv_lora_rank = keys.integer("attention.kv_lora_rank");
  // Lite forms have attn_q and no rank; some files have the key all the same.
  const int64_t q_lora = rows_or(table, "blk.0.attn_q_a.weight", 0);
  c.q_lora_rank = q_lora > 0 ? keys.integer_or("attention.q_lora_rank", q_lora) : 0;
  c.qk_rope_dim = keys.integer("rope.dimension_count");
  // Files that write MLA as one shared head (head_count_kv 1) have the true lengths under *_mla.
  const bool shared_head = keys.has("attention.key_length_mla");
  const int64_t key =
      keys.integer(shared_head ? "attention.key_length_mla" : "attention.key_length");
  c.v_dim = keys.integer(shared_head ? "attention.value_length_mla" : "attention.value_length");
  c.qk_nope_dim = key - c.qk_rope_dim;
  if (c.qk_nope_dim <= 0 || key <= 0)
    fail(ErrorKind::format, "{}: {} {} is not more than rope.dimension_count {}", keys.source(),
         keys.name(shared_head ? "attention.key_length_mla" : "attention.key_length"), key,
         c.qk_rope_dim);
}

void read_dense_attention(const Keys& keys, const TensorTable& table, ModelConfig& c) {
  c.head_dim = keys.integer_or("attention.key_length", c.heads > 0 ? c.hidden_size / c.heads : 0);
  const int64_t value = keys.integer_or("attention.value_length", c.head_dim);
  const int64_t rotated = keys.integer_or("rope.dimension_count", c.head_dim);
  if (value != c.head_dim || rotated != c.head_dim)
    fail(ErrorKind::unsupported,
         "{}: keys of {}, values of {} and {} rotated elements; Hadal runs models where they are "
         "equal",
         keys.source(), c.head_dim, value, rotated);
  c.attention_bias = table.has("blk.0.attn_q.bias");
  c.qk_norm = c.architecture == Architecture::qwen3;
  if (keys.integer_or("expert_count", 0) > 0)
    fail(ErrorKind::unsupported, "{}: a mixture of experts of architecture {} cannot be run",
         keys.source(), c.source);
}

// Routing by groups came to GGUF late; files without the keys have none, but for one shape.
void read_groups(const Keys& keys, ModelConfig& c, std::vector<std::string>& notes) {
  c.expert_groups = keys.integer_or("expert_group_count", 0);
  c.expert_groups_used = keys.integer_or("expert_group_used_count", 0);
  if (c.expert_groups == 0) c.expert_groups = c.expert_groups_used = 1;
  const bool published_v3 = c.layers == 61 && c.experts == 256 && c.hidden_size == 7168;
  if (published_v3 && !keys.has("expert_group_count")) {
    c.expert_groups = 8;
    c.expert_groups_used = 4;
    notes.push_back(
        "the file does not say how experts are grouped; its shape is DeepSeek-V3's, so 4 of 8 "
        "groups are used as published");
  }
}

void read_experts(const Keys& keys, ModelConfig& c, std::vector<std::string>& notes) {
  c.experts = keys.integer_or("expert_count", 0);
  if (c.experts == 0) return;
  c.experts_per_token = keys.integer("expert_used_count");
  c.shared_experts = keys.integer_or("expert_shared_count", 0);
  c.moe_intermediate_size = keys.integer("expert_feed_forward_length");
  c.first_dense_layers = keys.integer_or("leading_dense_block_count", 0);
  const int64_t gating = keys.integer_or("expert_gating_func", 0);
  if (gating < 0 || gating > 2)
    fail(ErrorKind::unsupported, "{}: {} is {}, expected 1 (softmax) or 2 (sigmoid)", keys.source(),
         keys.name("expert_gating_func"), gating);
  c.scoring = gating == 2 ? Scoring::sigmoid : Scoring::softmax;  // missing: files of V2's time
  c.group_score = gating == 2 ? GroupScore::top2_sum : GroupScore::max;
  c.normalize_expert_weights = keys.boolean_or("expert_weights_norm", false);
  c.expert_weights_scale = keys.real_or("expert_weights_scale", 1.0);
  if (c.expert_weights_scale == 0.0) c.expert_weights_scale = 1.0;  // writers' "not set"
  read_groups(keys, c, notes);
}

void read_rope(const Keys& keys, ModelConfig& c) {
  RopeConfig& rope = c.rope;
  rope.theta = keys.real_or("rope.freq_base", 10000.0);
  const bool halves =
      c.architecture == Architecture::qwen2 || c.architecture == Architecture::qwen3;
  rope.layout = halves ? RopeLayout::halves : RopeLayout::interleaved;
  const std::string_view type = keys.string_or("rope.scaling.type", "none");
  if (type == "none") return;
  if (type != "yarn")
    fail(ErrorKind::unsupported, "{}: {} is \"{}\", expected yarn or none", keys.source(),
         keys.name("rope.scaling.type"), printable(type));
  rope.scaling = RopeScaling::yarn;
  rope.factor = keys.real("rope.scaling.factor");
  rope.original_context = keys.integer_or("rope.scaling.original_context_length", c.context_length);
  rope.beta_fast = keys.real_or("rope.scaling.yarn_beta_fast", 32.0);
  rope.beta_slow = keys.real_or("rope.scaling.yarn_beta_slow", 1.0);
  const double attention_factor =
      keys.real_or("rope.scaling.yarn_attn_factor", keys.real_or("rope.scaling.attn_factor", 1.0));
  if (c.is_mla()) {
    // yarn_log_multiplier is 0.1 * mscale_all_dim. Readers cancel the factor on cos and sin and put
    // its square into the scale of scores.
    const double mscale_all_dim = keys.real_or("rope.scaling.yarn_log_multiplier", 0.0) / 0.1;
    const double factor = attention_factor * yarn_mscale(rope.factor, mscale_all_dim);
    c.attention_scale *= factor * factor;
  } else {
    rope.magnitude = attention_factor * yarn_mscale(rope.factor, 1.0);
    if (std::abs(rope.magnitude - 1.0) < 1e-6) rope.magnitude = 1.0;
  }
}

// A tensor that divides each frequency (Llama 3's scaling, worked out by the converter).
void read_rope_factors(TensorTable& table, ModelConfig& c) {
  if (!table.has("rope_freqs.weight")) return;
  const int64_t dim = c.is_mla() ? c.qk_rope_dim : c.head_dim;
  if (c.rope.scaling != RopeScaling::none)
    fail(ErrorKind::unsupported, "{}: both YaRN and rope_freqs.weight", table.source());
  c.rope.factors = table.floats("rope_freqs.weight", dim / 2);
  c.rope.scaling = RopeScaling::factors;
}

// Layers with nextn.* tensors predict further tokens. Writers count them in block_count or not, and
// some keep the count but leave the tensors out.
void read_mtp(const Keys& keys, const TensorTable& table, ModelConfig& c,
              std::vector<std::string>& notes) {
  const int64_t stated = keys.integer_or("nextn_predict_layers", 0);
  if (stated < 0 || stated > mtp_layers_max)
    fail(ErrorKind::format, "{}: {} is {}, expected 0 to {}", keys.source(),
         keys.name("nextn_predict_layers"), stated, mtp_layers_max);
  const auto has = [&](int64_t layer, const char* tensor) {
    return table.has(fmt::format("blk.{}.{}", layer, tensor));
  };
  while (c.layers > 1 && has(c.layers - 1, "nextn.eh_proj.weight")) --c.layers;
  while (c.mtp_layers < mtp_layers_max && has(c.layers + c.mtp_layers, "nextn.eh_proj.weight"))
    ++c.mtp_layers;
  if (stated > 0 && c.mtp_layers == 0) {
    if (c.layers > stated && !has(c.layers - 1, "attn_norm.weight")) c.layers -= stated;
    notes.push_back(fmt::format("the keys name {} MTP layers, the file holds none", stated));
  }
}

void read_vocabulary(const Keys& keys, const Gguf& gguf, const TensorTable& table, ModelConfig& c) {
  c.vocab_size = rows_or(table, "token_embd.weight", 0);
  if (c.vocab_size == 0)
    fail(ErrorKind::format, "{}: tensor token_embd.weight [vocabulary, width] is missing",
         table.source());
  const int64_t stated = keys.integer_or("vocab_size", c.vocab_size);
  if (stated != c.vocab_size)
    fail(ErrorKind::format, "{}: {} is {}, but token_embd.weight has {} rows", keys.source(),
         keys.name("vocab_size"), stated, c.vocab_size);
  const auto id = [&](std::string_view name) -> int32_t {
    const int64_t value = gguf.integer_or(name, -1);
    // Writers put -1 (also as uint32) where there is none.
    if (value == -1 || value == UINT32_MAX) return -1;
    if (value < 0 || value >= c.vocab_size)
      fail(ErrorKind::format, "{}: key {} is {}, none of the {} tokens", keys.source(), name, value,
           c.vocab_size);
    return static_cast<int32_t>(value);
  };
  c.bos_id = id("tokenizer.ggml.bos_token_id");
  c.pad_id = id("tokenizer.ggml.padding_token_id");
  for (const auto* name : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (const int32_t eos = id(name); eos >= 0 && (c.eos_ids.empty() || c.eos_ids[0] != eos))
      c.eos_ids.push_back(eos);
}

}  // namespace

ModelConfig read_gguf_config(const Gguf& gguf, TensorTable& table,
                             std::vector<std::string>& notes) {
  ModelConfig c;
  c.source = gguf.string_or("general.architecture", "");
  c.architecture = architecture_of(c.source, gguf.source());
  c.name = printable(gguf.string_or("general.name", ""));
  const Keys keys(gguf, c.source);
  c.layers = keys.integer("block_count");
  c.hidden_size = keys.integer("embedding_length");
  c.heads = keys.integer("attention.head_count");
  c.kv_heads = keys.integer_or("attention.head_count_kv", c.heads);
  c.context_length = keys.integer("context_length");
  c.rms_norm_eps = keys.real("attention.layer_norm_rms_epsilon");
  c.intermediate_size = keys.integer_or("feed_forward_length", 0);
  c.tied_head = !table.has("output.weight");
  read_mtp(keys, table, c, notes);
  if (c.is_mla()) {
    read_mla(keys, table, c);
    read_experts(keys, c, notes);
  } else {
    read_dense_attention(keys, table, c);
  }
  const int64_t head_dim = c.is_mla() ? c.qk_nope_dim + c.qk_rope_dim : c.head_dim;
  c.attention_scale = head_dim > 0 ? 1.0 / std::sqrt(static_cast<double>(head_dim)) : 0.0;
  read_rope(keys, c);
  read_rope_factors(table, c);
  read_vocabulary(keys, gguf, table, c);
  validate_config(c, gguf.source());
  return c;
}

std::optional<GgufTokenizer> read_gguf_tokenizer(const Gguf& gguf, int64_t vocab_size) {
  if (!gguf.has("tokenizer.ggml.tokens")) return std::nullopt;
  GgufTokenizer t;
  t.model = gguf.string_or("tokenizer.ggml.model", "");
  t.pre = gguf.string_or("tokenizer.ggml.pre", "");
  t.tokens = gguf.strings("tokenizer.ggml.tokens");
  const auto count = static_cast<int64_t>(t.tokens.size());
  if (count > vocab_size)
    fail(ErrorKind::format,
         "{}: tokenizer.ggml.tokens has {} tokens, but the embedding only {} rows", gguf.source(),
         count, vocab_size);
  for (const int64_t type : gguf.integers("tokenizer.ggml.token_type")) {
    if (type < 0 || type > 6)
      fail(ErrorKind::format, "{}: tokenizer.ggml.token_type holds {}, expected 1 to 6",
           gguf.source(), type);
    t.types.push_back(static_cast<int32_t>(type));
  }
  if (t.types.empty()) t.types.assign(t.tokens.size(), 1);
  if (t.types.size() != t.tokens.size())
    fail(ErrorKind::format, "{}: {} tokens, but tokenizer.ggml.token_type has {}", gguf.source(),
         t.tokens.size(), t.types.size());
  t.merges = gguf.strings("tokenizer.ggml.merges");
  const auto id = [&](std::string_view name) -> int32_t {
    const int64_t value = gguf.integer_or(name, -1);
    if (value < 0 || value == UINT32_MAX) return -1;
    if (value >= count)
      fail(ErrorKind::format, "{}: key {} is {}, none of the {} tokens", gguf.source(), name, value,
           count);
    return static_cast<int32_t>(value);
  };
  t.bos_id = id("tokenizer.ggml.bos_token_id");
  t.eos_id = id("tokenizer.ggml.eos_token_id");
  t.eot_id = id("tokenizer.ggml.eot_token_id");
  t.pad_id = id("tokenizer.ggml.padding_token_id");
  t.add_bos = gguf.boolean_or("tokenizer.ggml.add_bos_token", false);
  t.add_eos = gguf.boolean_or("tokenizer.ggml.add_eos_token", false);
  if (gguf.has("hadal.tokenizer.nfc")) t.nfc = gguf.boolean_or("hadal.tokenizer.nfc", false);
  return t;
}

}  // namespace hadal::format
