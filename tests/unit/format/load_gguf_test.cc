#include <cmath>
#include <cstring>
#include <filesystem>

#include "files.h"
#include "format/load.h"

namespace hadal::format {
namespace {

namespace fs = std::filesystem;
using hadal::testing::goldens;
using model::Matrix;

bool same_bytes(const Matrix& a, const Matrix& b) {
  return a.type == b.type && a.rows == b.rows && a.cols == b.cols && a.row_bytes == b.row_bytes &&
         std::memcmp(a.data, b.data, static_cast<size_t>(a.rows * a.row_bytes)) == 0;
}

bool same_mlp(const model::Mlp& a, const model::Mlp& b) {
  return same_bytes(a.gate, b.gate) && same_bytes(a.up, b.up) && same_bytes(a.down, b.down);
}

uint16_t bf16_at(const Matrix& m, int64_t row, int64_t col) {
  uint16_t value;
  std::memcpy(&value, static_cast<const std::byte*>(m.data) + row * m.row_bytes + 2 * col, 2);
  return value;
}

// Whether k_b and v_b hold kv_b's rows, head by head, k_b transposed.
bool same_up_projection(const model::ModelConfig& c, const model::Attention& split,
                        const model::Attention& whole) {
  for (int64_t h = 0; h < c.heads; ++h)
    for (int64_t r = 0; r < c.kv_lora_rank; ++r) {
      const int64_t base = h * (c.qk_nope_dim + c.v_dim);
      for (int64_t i = 0; i < c.qk_nope_dim; ++i)
        if (bf16_at(split.k_b, h * c.kv_lora_rank + r, i) != bf16_at(whole.kv_b, base + i, r))
          return false;
      for (int64_t i = 0; i < c.v_dim; ++i)
        if (bf16_at(split.v_b, h * c.v_dim + i, r) !=
            bf16_at(whole.kv_b, base + c.qk_nope_dim + i, r))
          return false;
    }
  return true;
}

void expect_same_config(const model::ModelConfig& a, const model::ModelConfig& b) {
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.vocab_size, b.vocab_size);
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_EQ(a.heads, b.heads);
  EXPECT_EQ(a.context_length, b.context_length);
  EXPECT_FLOAT_EQ(a.rms_norm_eps, b.rms_norm_eps);
  EXPECT_EQ(a.tied_head, b.tied_head);
  EXPECT_NEAR(a.attention_scale, b.attention_scale, 1e-7);
  EXPECT_EQ(a.rope.theta, b.rope.theta);
  EXPECT_EQ(a.rope.magnitude, b.rope.magnitude);
  EXPECT_EQ(a.q_lora_rank, b.q_lora_rank);
  EXPECT_EQ(a.qk_nope_dim, b.qk_nope_dim);
  EXPECT_EQ(a.v_dim, b.v_dim);
  EXPECT_EQ(a.experts_per_token, b.experts_per_token);
  EXPECT_EQ(a.expert_groups_used, b.expert_groups_used);
  EXPECT_EQ(a.scoring, b.scoring);
  EXPECT_EQ(a.normalize_expert_weights, b.normalize_expert_weights);
  EXPECT_FLOAT_EQ(static_cast<float>(a.expert_weights_scale),
                  static_cast<float>(b.expert_weights_scale));
  EXPECT_EQ(a.first_dense_layers, b.first_dense_layers);
}

std::string base_name(const fs::path& gguf) {
  const std::string name = gguf.filename().string();
  return name.substr(0, name.find('.'));
}

TEST(LoadGguf, EveryGoldenFileEqualsItsTwin) {
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(goldens() / "gguf")) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path().filename().string());
    const LoadedFiles gguf = load_model(entry.path().string());
    EXPECT_TRUE(gguf.is_gguf);
    EXPECT_TRUE(gguf.notes.empty());
    ASSERT_TRUE(gguf.gguf_tokenizer.has_value());
    EXPECT_EQ(gguf.gguf_tokenizer->tokens.size(), 512u);
    EXPECT_EQ(gguf.model->config.eos_ids, std::vector<int32_t>{1});
    EXPECT_FALSE(gguf.chat_template.empty());
    const fs::path twin_folder = goldens() / "models" / base_name(entry.path());
    if (!fs::exists(twin_folder / "model.safetensors")) continue;
    const LoadedFiles twin = load_model(twin_folder.string());
    const model::ModelConfig& c = gguf.model->config;
    const bool without_groups =
        entry.path().filename().string().find("v3-256.ik") != std::string::npos;
    if (!without_groups) expect_same_config(c, twin.model->config);
    const bool bf16 = entry.path().filename().string().find("bf16") != std::string::npos;
    if (!bf16) continue;
    EXPECT_TRUE(same_bytes(gguf.model->head, twin.model->head));
    for (size_t i = 0; i < gguf.model->layers.size(); ++i) {
      const model::Layer& a = gguf.model->layers[i];
      const model::Layer& b = twin.model->layers[i];
      EXPECT_EQ(a.attention_norm, b.attention_norm);
      EXPECT_TRUE(same_bytes(a.attention.o, b.attention.o));
      EXPECT_EQ(a.attention.k_bias, b.attention.k_bias);
      EXPECT_EQ(a.experts.correction_bias, b.experts.correction_bias);
      if (!c.is_moe_layer(static_cast<int64_t>(i))) {
        EXPECT_TRUE(same_mlp(a.dense, b.dense));
        continue;
      }
      EXPECT_TRUE(same_mlp(a.experts.shared, b.experts.shared));
      for (size_t e = 0; e < a.experts.routed.size(); ++e)
        EXPECT_TRUE(same_mlp(a.experts.routed[e], b.experts.routed[e])) << i << " " << e;
    }
    if (c.is_mla()) {
      const model::Attention& a = gguf.model->layers[1].attention;
      const model::Attention& b = twin.model->layers[1].attention;
      EXPECT_TRUE(a.kv_b.data != nullptr ? same_bytes(a.kv_b, b.kv_b)
                                         : same_up_projection(c, a, b));
    }
    ++compared;
  }
  if (fs::exists(goldens() / "models" / "v2-lite" / "model.safetensors")) {
    EXPECT_GE(compared, 7);
  }
}

TEST(LoadGguf, AnyShardOpensTheSet) {
  const auto shard = [](int n) {
    return (goldens() / "gguf" / fmt::format("v2-lite.split.bf16-0000{}-of-00003.gguf", n))
        .string();
  };
  const LoadedFiles first = load_model(shard(1));
  const LoadedFiles third = load_model(shard(3));
  EXPECT_EQ(first.model->file_bytes, third.model->file_bytes);
  EXPECT_TRUE(same_bytes(first.model->embedding, third.model->embedding));
  EXPECT_EQ(first.model->config.kv_heads, 1);
  EXPECT_NE(first.model->layers[2].attention.k_b.data, nullptr);
}

TEST(LoadGguf, LlamaHasInterleavedRowsAndRopeFactors) {
  const LoadedFiles files =
      load_model((goldens() / "gguf" / "r1-llama.mainline.bf16.gguf").string());
  const model::RopeConfig& rope = files.model->config.rope;
  EXPECT_EQ(rope.layout, model::RopeLayout::interleaved);
  EXPECT_EQ(rope.scaling, model::RopeScaling::factors);
  ASSERT_EQ(rope.factors.size(), 16u);
  EXPECT_EQ(rope.factors.front(), 1.0F);
  EXPECT_EQ(rope.factors.back(), 8.0F);
}

}  // namespace
}  // namespace hadal::format
