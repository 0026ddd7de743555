#include <cmath>
#include <filesystem>

#include "files.h"
#include "format/load.h"
#include "model/config.h"

namespace hadal::format {
namespace {

namespace fs = std::filesystem;
using hadal::testing::data_folder;
using hadal::testing::error_of;
using hadal::testing::goldens;
using hadal::testing::ScratchFolder;

LoadedFiles load_golden(const std::string& name) {
  return load_model((goldens() / "models" / name).string());
}

TEST(LoadHf, EveryGoldenFolderLoads) {
  int loaded = 0;
  for (const auto& entry : fs::directory_iterator(goldens() / "models")) {
    const std::string name = entry.path().filename().string();
    if (name == "v32" || name == "v4" || !fs::exists(entry.path() / "model.safetensors")) continue;
    const LoadedFiles files = load_model(entry.path().string());
    EXPECT_EQ(files.model->config.layers, static_cast<int64_t>(files.model->layers.size())) << name;
    EXPECT_GT(files.model->file_bytes, 0) << name;
    EXPECT_TRUE(files.notes.empty()) << name << ": " << files.notes.front();
    EXPECT_EQ(files.model->config.name, name);
    ++loaded;
  }
  EXPECT_GE(loaded, 6);
}

TEST(LoadHf, V3HasItsRouterAndItsMtpLayer) {
  const LoadedFiles files = load_golden("v3");
  const model::Model& m = *files.model;
  EXPECT_EQ(m.config.scoring, model::Scoring::sigmoid);
  EXPECT_EQ(m.config.group_score, model::GroupScore::top2_sum);
  EXPECT_EQ(m.config.expert_groups, 4);
  EXPECT_TRUE(m.config.normalize_expert_weights);
  ASSERT_EQ(m.mtp.size(), 1u);
  EXPECT_EQ(m.mtp[0].eh_proj.cols, 256);
  EXPECT_EQ(m.mtp[0].layer.experts.routed.size(), 16u);
  EXPECT_EQ(m.layers[1].experts.correction_bias.size(), 16u);
  EXPECT_EQ(m.layers[0].experts.router.data, nullptr);
  EXPECT_NE(m.layers[0].dense.gate.data, nullptr);
  // 1/sqrt(48) times (0.1 ln 40 + 1) squared.
  EXPECT_NEAR(m.config.attention_scale, 1.8738542 / std::sqrt(48.0), 1e-6);
  EXPECT_EQ(m.config.rope.magnitude, 1.0);
}

TEST(LoadHf, Fp8MatricesHaveScalesPerTile) {
  const LoadedFiles files = load_golden("v3-fp8");
  const model::Matrix& kv_a = files.model->layers[1].attention.kv_a;
  EXPECT_EQ(kv_a.type, quant::Type::FP8_E4M3);
  EXPECT_EQ(kv_a.rows, 144);
  EXPECT_EQ(kv_a.scale_stride, 2);
  ASSERT_NE(kv_a.scales, nullptr);
  EXPECT_TRUE(std::isfinite(kv_a.scales[3]));
  EXPECT_EQ(files.model->embedding.type, quant::Type::BF16);
}

TEST(LoadHf, DenseForms) {
  const LoadedFiles tied = load_golden("r1-qwen2-tied");
  EXPECT_EQ(tied.model->head.data, tied.model->embedding.data);
  EXPECT_EQ(tied.model->layers[0].attention.k_bias.size(), 32u);
  const LoadedFiles qwen3 = load_golden("r1-qwen3");
  EXPECT_EQ(qwen3.model->layers[0].attention.q_norm.size(), 48u);
  // attn_factor cancels YaRN's own factor.
  EXPECT_EQ(qwen3.model->config.rope.magnitude, 1.0);
  EXPECT_EQ(qwen3.model->config.rope.layout, model::RopeLayout::halves);
}

TEST(LoadHf, NewerDeepSeeksAreNamed) {
  for (const auto& [name, what] : {std::pair{"v32", "DeepSeek-V3.2"}, {"v4", "DeepSeek-V4"}}) {
    const fs::path folder = goldens() / "models" / name;
    const std::string message = error_of([&] { load_model(folder.string()); });
    EXPECT_CONTAINS(message, what);
    EXPECT_CONTAINS(message, "cannot run it yet");
  }
}

TEST(LoadHf, SaysWhatIsMissing) {
  const ScratchFolder scratch;
  EXPECT_CONTAINS(error_of([&] { load_model(scratch.path().string()); }), "no config.json");
  EXPECT_CONTAINS(error_of([&] { load_model("/nowhere/at/all"); }), "/nowhere/at/all");
  fs::copy(data_folder() / "models" / "v3" / "config.json", scratch.path() / "config.json");
  EXPECT_CONTAINS(error_of([&] { load_model(scratch.path().string()); }), "model.safetensors");
}

}  // namespace
}  // namespace hadal::format
