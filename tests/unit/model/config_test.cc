#include "model/config.h"

#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "base/error.h"
#include "unit/model/tiny_model.h"

namespace hadal::model {
namespace {

ModelConfig v2_lite() {
  ModelConfig c;
  c.vocab_size = 102400;
  c.hidden_size = 2048;
  c.layers = 27;
  c.heads = c.kv_heads = 16;
  c.context_length = 163840;
  c.kv_lora_rank = 512;
  c.qk_nope_dim = 128;
  c.qk_rope_dim = 64;
  c.v_dim = 128;
  c.attention_scale = 0.1147214;
  c.intermediate_size = 10944;
  c.moe_intermediate_size = 1408;
  c.experts = 64;
  c.experts_per_token = 6;
  c.shared_experts = 2;
  c.first_dense_layers = 1;
  return c;
}

ModelConfig v2() {
  ModelConfig c = v2_lite();
  c.hidden_size = 5120;
  c.layers = 60;
  c.heads = c.kv_heads = 128;
  c.q_lora_rank = 1536;
  c.intermediate_size = 12288;
  c.moe_intermediate_size = 1536;
  c.experts = 160;
  c.expert_groups = 8;
  c.expert_groups_used = 3;
  return c;
}

ModelConfig v3() {
  ModelConfig c = v2();
  c.vocab_size = 129280;
  c.hidden_size = 7168;
  c.layers = 61;
  c.intermediate_size = 18432;
  c.moe_intermediate_size = 2048;
  c.experts = 256;
  c.experts_per_token = 8;
  c.shared_experts = 1;
  c.first_dense_layers = 3;
  c.expert_groups_used = 4;
  c.scoring = Scoring::sigmoid;
  return c;
}

ModelConfig moonlight() {
  ModelConfig c = v2_lite();
  c.vocab_size = 163840;
  c.intermediate_size = 11264;
  c.scoring = Scoring::sigmoid;
  return c;
}

ModelConfig kimi_k2() {
  ModelConfig c = v3();
  c.vocab_size = 163840;
  c.heads = c.kv_heads = 64;
  c.experts = 384;
  c.expert_groups = c.expert_groups_used = 1;
  c.first_dense_layers = 1;
  return c;
}

// deepseek-family, table 1.1: computed from the published configs.
TEST(Config, ParametersOfPublishedModels) {
  const struct {
    ModelConfig config;
    int64_t total, active;
  } published[] = {{v2_lite(), 15'706'484'224, 2'661'150'208},
                   {v2(), 235'741'434'880, 21'375'800'320},
                   {v3(), 671'026'419'200, 37'552'297'472},
                   {moonlight(), 15'960'110'208, 2'914'776'192},
                   {kimi_k2(), 1'026'408'232'448, 32'861'500'928}};
  for (const auto& [config, total, active] : published) {
    EXPECT_NO_THROW(validate(config));
    const ParameterCount count = count_parameters(config);
    EXPECT_EQ(count.total, total);
    EXPECT_EQ(count.active, active);
  }
}

TEST(Config, CacheElementsOfATokenInALayer) {
  EXPECT_EQ(v3().cache_width(), 576);
  EXPECT_EQ(testing::tiny_config({.architecture = Architecture::qwen2}).cache_width(), 2 * 2 * 16);
}

TEST(Config, TinyModelsAreValid) {
  for (const auto architecture :
       {Architecture::deepseek2, Architecture::llama, Architecture::qwen2, Architecture::qwen3})
    EXPECT_NO_THROW(validate(testing::tiny_config({.architecture = architecture})));
}

TEST(Config, ImpossibleSizesAreRefusedByName) {
  const struct {
    const char* field;
    std::function<void(ModelConfig&)> change;
  } broken[] = {
      {"vocab_size", [](auto& c) { c.vocab_size = 0; }},
      {"hidden_size", [](auto& c) { c.hidden_size = int64_t{1} << 40; }},
      {"num_hidden_layers", [](auto& c) { c.layers = -1; }},
      {"num_attention_heads", [](auto& c) { c.heads = 1 << 20; }},
      {"kv_lora_rank", [](auto& c) { c.kv_lora_rank = 0; }},
      {"qk_rope_head_dim", [](auto& c) { c.qk_rope_dim = 63; }},
      {"n_routed_experts", [](auto& c) { c.experts = 255; }},
      {"num_experts_per_tok", [](auto& c) { c.experts_per_token = 257; }},
      {"num_experts_per_tok",
       [](auto& c) { c.experts_per_token = 129; }},  // 4 of 8 groups hold 128
      {"topk_group", [](auto& c) { c.expert_groups_used = 9; }},
      {"first_k_dense_replace", [](auto& c) { c.first_dense_layers = 62; }},
      {"rms_norm_eps", [](auto& c) { c.rms_norm_eps = std::numeric_limits<double>::quiet_NaN(); }},
      {"rope_theta", [](auto& c) { c.rope.theta = 0.0; }},
      {"factor", [](auto& c) { c.rope.scaling = RopeScaling::yarn, c.rope.factor = 0.0; }},
      {"attention scale", [](auto& c) { c.attention_scale = 0.0; }},
  };
  for (const auto& [field, change] : broken) {
    ModelConfig config = v3();
    change(config);
    try {
      validate(config);
      ADD_FAILURE() << field << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::format);
      EXPECT_NE(std::string(error.what()).find(field), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace hadal::model
