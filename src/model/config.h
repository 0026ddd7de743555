// What a model is: sizes and switches, as read from config.json or GGUF keys. docs/model.md maps
// the papers' symbols to these names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal::model {

enum class Architecture { deepseek2, llama, qwen2, qwen3 };  // deepseek2: V2, V3, R1, Moonlight, K2
enum class Scoring { softmax, sigmoid };
// How the experts' groups are scored: by their best expert (V2), or the sum of their two best
// biased scores (V3's noaux_tc).
enum class GroupScore { max, top2_sum };
enum class RopeScaling { none, yarn, llama3, factors };  // factors: a tensor divides each frequency
enum class RopeLayout { interleaved, halves };

struct RopeConfig {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::none;
  RopeLayout layout = RopeLayout::interleaved;
  double factor = 1.0;
  int64_t original_context = 0;
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  // Multiplies cos and sin (yarn; 1 for every DeepSeek model). docs: deepseek 2.7.
  double magnitude = 1.0;
  std::vector<float>
      factors;  // RopeScaling::factors: [rope_dim / 2], frequencies are divided by it
};

struct ModelConfig {
  Architecture architecture = Architecture::deepseek2;
  std::string name;    // for people
  std::string source;  // model_type or general.architecture as the file says it
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t layers = 0;  // without MTP layers
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t context_length = 0;
  double rms_norm_eps = 1e-6;
  bool tied_head = false;
  RopeConfig rope;
  // Scale of attention scores, mscale squared included.
  double attention_scale = 0.0;

  // ---- dense attention (llama, qwen2, qwen3)
  int64_t head_dim = 0;
  bool attention_bias = false;  // on q, k, v
  bool qk_norm = false;

  // ---- multi-head latent attention (deepseek2)
  int64_t q_lora_rank = 0;  // 0: queries are not compressed
  int64_t kv_lora_rank = 0;
  int64_t qk_nope_dim = 0;
  int64_t qk_rope_dim = 0;
  int64_t v_dim = 0;

  // ---- feed-forward
  int64_t intermediate_size = 0;      // dense layers
  int64_t moe_intermediate_size = 0;  // one routed expert
  int64_t experts = 0;                // routed; 0: no mixture anywhere
  int64_t experts_per_token = 0;
  int64_t shared_experts = 0;  // one feed-forward of width shared_experts * moe_intermediate_size
  int64_t first_dense_layers = 0;
  int64_t expert_groups = 1;       // n_group
  int64_t expert_groups_used = 1;  // topk_group
  GroupScore group_score = GroupScore::max;
  Scoring scoring = Scoring::softmax;
  bool normalize_expert_weights = false;
  double expert_weights_scale = 1.0;

  int64_t mtp_layers = 0;  // MTP layers in the file

  int32_t bos_id = -1, pad_id = -1;
  std::vector<int32_t> eos_ids;

  bool is_mla() const { return architecture == Architecture::deepseek2; }
  bool is_moe_layer(int64_t layer) const { return experts > 0 && layer >= first_dense_layers; }
  // Elements that the cache holds for a token in a layer.
  int64_t cache_width() const {
    return is_mla() ? kv_lora_rank + qk_rope_dim : 2 * kv_heads * head_dim;
  }
};

// Throws Error(format) naming the field if sizes are impossible (zero, negative, over the limits
// in config.cc, contradicting each other).
void validate(const ModelConfig& config);

// Parameters: everything that the forward pass can touch (MTP layers not counted), and what one
// token touches, both embeddings counted (deepseek-family: V2-Lite 15,706,484,224 / 2,661,150,208).
struct ParameterCount {
  int64_t total = 0, active = 0;
};
ParameterCount count_parameters(const ModelConfig& config);

}  // namespace hadal::model
