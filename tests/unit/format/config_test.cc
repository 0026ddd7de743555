// Published configurations, and the sizes that their papers state.
#include <cmath>

#include "builders.h"
#include "files.h"
#include "format/config_read.h"
#include "format/gguf_config.h"

namespace hadal::format {
namespace {

using hadal::testing::GgufBuilder;
using nlohmann::json;

json deepseek_base() {
  return {{"model_type", "deepseek_v3"},
          {"vocab_size", 129280},
          {"hidden_size", 7168},
          {"num_hidden_layers", 61},
          {"num_attention_heads", 128},
          {"num_key_value_heads", 128},
          {"q_lora_rank", 1536},
          {"kv_lora_rank", 512},
          {"qk_nope_head_dim", 128},
          {"qk_rope_head_dim", 64},
          {"v_head_dim", 128},
          {"intermediate_size", 18432},
          {"moe_intermediate_size", 2048},
          {"n_routed_experts", 256},
          {"n_shared_experts", 1},
          {"num_experts_per_tok", 8},
          {"first_k_dense_replace", 3},
          {"n_group", 8},
          {"topk_group", 4},
          {"routed_scaling_factor", 2.5},
          {"norm_topk_prob", true},
          {"scoring_func", "sigmoid"},
          {"topk_method", "noaux_tc"},
          {"max_position_embeddings", 163840},
          {"num_nextn_predict_layers", 1},
          {"rope_theta", 10000},
          {"rope_scaling",
           {{"type", "yarn"},
            {"factor", 40},
            {"original_max_position_embeddings", 4096},
            {"beta_fast", 32},
            {"beta_slow", 1},
            {"mscale", 1.0},
            {"mscale_all_dim", 1.0}}}};
}

void set(json& config, const json& changes) {
  config.update(changes);
}

model::ModelConfig read(const json& config) {
  return read_hf_config(config, "config.json").model;
}

void expect_parameters(const json& config, int64_t total, int64_t active) {
  const model::ParameterCount count = model::count_parameters(read(config));
  EXPECT_EQ(count.total, total);
  EXPECT_EQ(count.active, active);
}

json v2_lite() {
  json c = deepseek_base();
  set(c, {{"model_type", "deepseek_v2"},
          {"vocab_size", 102400},
          {"hidden_size", 2048},
          {"num_hidden_layers", 27},
          {"num_attention_heads", 16},
          {"q_lora_rank", nullptr},
          {"intermediate_size", 10944},
          {"moe_intermediate_size", 1408},
          {"n_routed_experts", 64},
          {"n_shared_experts", 2},
          {"num_experts_per_tok", 6},
          {"first_k_dense_replace", 1},
          {"n_group", 1},
          {"topk_group", 1},
          {"scoring_func", "softmax"},
          {"topk_method", "greedy"},
          {"norm_topk_prob", false},
          {"routed_scaling_factor", 1.0}});
  c["rope_scaling"]["mscale"] = c["rope_scaling"]["mscale_all_dim"] = 0.707;
  return c;
}

json moonlight() {
  json c = v2_lite();
  set(c, {{"model_type", "deepseek_v3"},
          {"vocab_size", 163840},
          {"intermediate_size", 11264},
          {"scoring_func", "sigmoid"},
          {"topk_method", "noaux_tc"},
          {"norm_topk_prob", true},
          {"rope_theta", 50000},
          {"rope_scaling", nullptr},
          {"routed_scaling_factor", 2.446}});
  return c;
}

json kimi_k2() {
  json c = deepseek_base();
  set(c, {{"model_type", "kimi_k2"},
          {"vocab_size", 163840},
          {"num_attention_heads", 64},
          {"num_key_value_heads", 64},
          {"n_routed_experts", 384},
          {"first_k_dense_replace", 1},
          {"n_group", 1},
          {"topk_group", 1},
          {"rope_theta", 50000}});
  set(c["rope_scaling"], {{"factor", 32}, {"beta_fast", 1}});
  return c;
}

TEST(Config, PublishedModelsHaveTheirPublishedSizes) {
  expect_parameters(deepseek_base(), 671'026'419'200, 37'552'297'472);
  expect_parameters(v2_lite(), 15'706'484'224, 2'661'150'208);
  expect_parameters(moonlight(), 15'960'110'208, 2'914'776'192);
  expect_parameters(kimi_k2(), 1'026'408'232'448, 32'861'500'928);
  json v2 = deepseek_base();
  set(v2, {{"model_type", "deepseek_v2"},
           {"vocab_size", 102400},
           {"hidden_size", 5120},
           {"num_hidden_layers", 60},
           {"intermediate_size", 12288},
           {"moe_intermediate_size", 1536},
           {"n_routed_experts", 160},
           {"n_shared_experts", 2},
           {"num_experts_per_tok", 6},
           {"first_k_dense_replace", 1},
           {"topk_group", 3},
           {"scoring_func", "softmax"},
           {"topk_method", "group_limited_greedy"},
           {"norm_topk_prob", false},
           {"routed_scaling_factor", 16.0}});
  expect_parameters(v2, 235'741'434'880, 21'375'800'320);
  EXPECT_EQ(read(v2).group_score, model::GroupScore::max);
}

TEST(Config, ScalesOfScores) {
  EXPECT_NEAR(read(deepseek_base()).attention_scale, 0.1352338, 1e-7);
  EXPECT_NEAR(read(v2_lite()).attention_scale, 0.1147214, 1e-7);
  EXPECT_NEAR(read(kimi_k2()).attention_scale, 0.1308608, 1e-7);
  EXPECT_NEAR(read(moonlight()).attention_scale, 0.0721688, 1e-7);
  EXPECT_EQ(read(v2_lite()).rope.magnitude, 1.0);
}

TEST(Config, FieldsThatNeverVaryMayBeMissing) {
  json c = deepseek_base();
  for (const char* key : {"scoring_func", "topk_method", "norm_topk_prob", "routed_scaling_factor"})
    c.erase(key);
  const model::ModelConfig config = read(c);
  EXPECT_EQ(config.scoring, model::Scoring::sigmoid);
  EXPECT_EQ(config.group_score, model::GroupScore::top2_sum);
  EXPECT_TRUE(config.normalize_expert_weights);
  EXPECT_EQ(config.expert_weights_scale, 2.5);
  c.erase("model_type");
  c["architectures"] = {"DeepseekV3ForCausalLM"};
  EXPECT_EQ(read(c).source, "deepseek_v3");
}

TEST(Config, V2NormalisesOrScales) {
  json c = v2_lite();
  set(c, {{"norm_topk_prob", true}, {"routed_scaling_factor", 16.0}});
  const HfConfig config = read_hf_config(c, "config.json");
  EXPECT_EQ(config.model.expert_weights_scale, 1.0);
  EXPECT_EQ(config.notes.size(), 1u);
}

TEST(Config, YarnOfDenseModels) {
  json c = {{"model_type", "qwen3"},
            {"vocab_size", 100},
            {"hidden_size", 64},
            {"num_hidden_layers", 1},
            {"num_attention_heads", 4},
            {"num_key_value_heads", 2},
            {"intermediate_size", 32},
            {"max_position_embeddings", 256},
            {"rope_scaling",
             {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 64}}}};
  EXPECT_EQ(read(c).head_dim, 128);
  EXPECT_NEAR(read(c).rope.magnitude, 0.1 * std::log(4.0) + 1.0, 1e-12);
  c["rope_scaling"]["attn_factor"] = 0.8782488562869419;
  EXPECT_EQ(read(c).rope.magnitude, 1.0);
  c["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}, {"attention_factor", 1.25}};
  EXPECT_EQ(read(c).rope.magnitude, 1.25);
  EXPECT_EQ(read(c).rope.original_context, 64);
}

// The keys of a V3 file as ik_llama.cpp writes it, with the two tensors that the reader looks at.
TEST(Config, GgufWithoutGroupsOfThePublishedShape) {
  GgufBuilder g = hadal::testing::tiny_gguf();
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, uint32_t>>{{"block_count", 61},
                                                               {"embedding_length", 7168},
                                                               {"expert_count", 256},
                                                               {"expert_used_count", 8},
                                                               {"leading_dense_block_count", 3}})
    g.set_u32(std::string("deepseek2.") + key, value);
  g.tensors.clear();
  const auto bytes = g.build();
  const Gguf gguf(bytes, "x.gguf");
  TensorTable table("x.gguf");
  Tensor embedding;
  embedding.name = "token_embd.weight";
  embedding.rank = 2;
  embedding.shape = {6, 7168};
  table.add(embedding);
  std::vector<std::string> notes;
  const model::ModelConfig c = read_gguf_config(gguf, table, notes);
  EXPECT_EQ(c.expert_groups, 8);
  EXPECT_EQ(c.expert_groups_used, 4);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_CONTAINS(notes[0], "4 of 8 groups");
}

}  // namespace
}  // namespace hadal::format
