// Published shapes; sources as in docs/model.md. V3-mini is ours: V3's form at a size that two
// cores run at conversational speed in any format.
#include <cmath>

#include "format/synth.h"

namespace hadal::format {
namespace {

using model::ModelConfig;

void set_latent(ModelConfig& c, int64_t heads, int64_t q_lora, int64_t kv_lora, int64_t nope,
                int64_t rope, int64_t value) {
  c.heads = c.kv_heads = heads;
  c.q_lora_rank = q_lora;
  c.kv_lora_rank = kv_lora;
  c.qk_nope_dim = nope;
  c.qk_rope_dim = rope;
  c.v_dim = value;
  c.attention_scale = 1.0 / std::sqrt(static_cast<double>(nope + rope));
}

void set_experts(ModelConfig& c, int64_t experts, int64_t used, int64_t shared, int64_t width) {
  c.experts = experts;
  c.experts_per_token = used;
  c.shared_experts = shared;
  c.moe_intermediate_size = width;
}

void set_sigmoid_router(ModelConfig& c, int64_t groups, int64_t groups_used, double scale) {
  c.scoring = model::Scoring::sigmoid;
  c.group_score = model::GroupScore::top2_sum;
  c.expert_groups = groups;
  c.expert_groups_used = groups_used;
  c.normalize_expert_weights = true;
  c.expert_weights_scale = scale;
}

void set_yarn(ModelConfig& c, double factor, double mscale_all_dim, double beta_fast = 32.0) {
  c.rope.scaling = model::RopeScaling::yarn;
  c.rope.factor = factor;
  c.rope.original_context = 4096;
  c.rope.beta_fast = beta_fast;
  const double mscale = 1.0 + 0.1 * mscale_all_dim * std::log(factor);
  c.attention_scale *= mscale * mscale;
}

void set_sizes(ModelConfig& c, int64_t vocab, int64_t hidden, int64_t layers, int64_t dense_layers,
               int64_t dense_width, int64_t context) {
  c.vocab_size = vocab;
  c.hidden_size = hidden;
  c.layers = layers;
  c.first_dense_layers = dense_layers;
  c.intermediate_size = dense_width;
  c.context_length = context;
}

ModelConfig v2_lite() {
  ModelConfig c;
  set_sizes(c, 102400, 2048, 27, 1, 10944, 163840);
  set_latent(c, 16, 0, 512, 128, 64, 128);
  set_experts(c, 64, 6, 2, 1408);
  set_yarn(c, 40.0, 0.707);
  return c;
}

ModelConfig v2() {
  ModelConfig c;
  set_sizes(c, 102400, 5120, 60, 1, 12288, 163840);
  set_latent(c, 128, 1536, 512, 128, 64, 128);
  set_experts(c, 160, 6, 2, 1536);
  c.expert_groups = 8;
  c.expert_groups_used = 3;
  c.expert_weights_scale = 16.0;
  set_yarn(c, 40.0, 0.707);
  return c;
}

ModelConfig v3() {
  ModelConfig c;
  set_sizes(c, 129280, 7168, 61, 3, 18432, 163840);
  set_latent(c, 128, 1536, 512, 128, 64, 128);
  set_experts(c, 256, 8, 1, 2048);
  set_sigmoid_router(c, 8, 4, 2.5);
  set_yarn(c, 40.0, 1.0);
  return c;
}

ModelConfig moonlight() {
  ModelConfig c;
  set_sizes(c, 163840, 2048, 27, 1, 11264, 8192);
  set_latent(c, 16, 0, 512, 128, 64, 128);
  set_experts(c, 64, 6, 2, 1408);
  set_sigmoid_router(c, 1, 1, 2.446);
  c.rms_norm_eps = 1e-5;
  c.rope.theta = 50000.0;
  return c;
}

ModelConfig kimi_k2() {
  ModelConfig c;
  set_sizes(c, 163840, 7168, 61, 1, 18432, 131072);
  set_latent(c, 64, 1536, 512, 128, 64, 128);
  set_experts(c, 384, 8, 1, 2048);
  set_sigmoid_router(c, 1, 1, 2.827);
  c.rope.theta = 50000.0;
  set_yarn(c, 32.0, 1.0, 1.0);
  return c;
}

ModelConfig v3_mini() {
  ModelConfig c;
  set_sizes(c, 102400, 1024, 12, 1, 4096, 163840);
  set_latent(c, 16, 384, 256, 64, 32, 64);
  set_experts(c, 64, 8, 1, 512);
  set_sigmoid_router(c, 8, 4, 2.5);
  set_yarn(c, 40.0, 1.0);
  return c;
}

}  // namespace

const std::vector<Shape>& published_shapes() {
  static const std::vector<Shape> shapes = {
      {"deepseek-v2-lite", "15.7 B parameters, 2.7 B active"},
      {"deepseek-v2", "236 B parameters, 21 B active"},
      {"deepseek-v3", "671 B parameters, 38 B active: V3, R1"},
      {"moonlight", "16 B parameters, 2.9 B active"},
      {"kimi-k2", "1,026 B parameters, 33 B active"},
      {"v3-mini", "1.4 B parameters, 0.3 B active: V3's form, small"},
  };
  return shapes;
}

std::optional<ModelConfig> shape_config(std::string_view name) {
  ModelConfig c;
  if (name == "deepseek-v2-lite") {
    c = v2_lite();
  } else if (name == "deepseek-v2") {
    c = v2();
  } else if (name == "deepseek-v3") {
    c = v3();
  } else if (name == "moonlight") {
    c = moonlight();
  } else if (name == "kimi-k2") {
    c = kimi_k2();
  } else if (name == "v3-mini") {
    c = v3_mini();
  } else {
    return std::nullopt;
  }
  c.name = "synthetic " + std::string(name);
  c.source = c.scoring == model::Scoring::softmax ? "deepseek_v2" : "deepseek_v3";
  c.bos_id = 0;
  c.eos_ids = {1};
  c.pad_id = 2;
  return c;
}

ModelConfig with_layers(ModelConfig c, int64_t layers) {
  c.layers = layers;
  c.first_dense_layers = std::min(c.first_dense_layers, layers);
  return c;
}

}  // namespace hadal::format
