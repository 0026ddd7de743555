// The commands that write models, on a small model: what they print, and what they refuse.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "unit/cli/settings_fixture.h"

namespace hadal::cli {
namespace {

namespace fs = std::filesystem;

class ConvertCommand : public SettingsFixture {
 protected:
  void SetUp() override {
    SettingsFixture::SetUp();
    fs::create_directories(output_folder());
  }
  fs::path output_folder() const { return folder_ / "out"; }
  std::string path(const std::string& name) const { return (output_folder() / name).string(); }

  const std::string model_ = HADAL_SOURCE_DIR "/models/seed-q8_0.gguf";
};

TEST_F(ConvertCommand, ThereAndBackKeepsWeightsAndTokenizer) {
  const Outcome there = run({"convert", model_, "-o", path("hf")});
  ASSERT_EQ(there.code, kExitOk) << there.err;
  EXPECT_NE(there.err.find("rounded to BF16"), std::string::npos) << there.err;
  for (const char* name :
       {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    EXPECT_TRUE(fs::exists(path("hf") + "/" + name)) << name;
  }
  const Outcome back = run({"convert", path("hf"), "-o", path("back.gguf"), "--json"});
  ASSERT_EQ(back.code, kExitOk) << back.err;
  const auto report = nlohmann::json::parse(back.out);
  EXPECT_EQ(report["output"], path("back.gguf"));
  EXPECT_EQ(report["weights"], 4543040);  // 32 of them are router biases
  EXPECT_NEAR(report["bits_per_weight"].get<double>(), 16.0, 0.2);
  const std::string text = "What is 7 + 5? Cafe\u0301";
  EXPECT_EQ(run({"tokenize", model_, text}).out, run({"tokenize", path("back.gguf"), text}).out);
}

TEST_F(ConvertCommand, ExistingOutputsAreKept) {
  std::ofstream(path("old.gguf")) << "precious";
  const Outcome refused = run({"quantize", model_, "q4_k_m", "-o", path("old.gguf")});
  EXPECT_EQ(refused.code, kExitUsage);
  EXPECT_NE(refused.err.find("--force"), std::string::npos) << refused.err;
  EXPECT_EQ(fs::file_size(path("old.gguf")), 8u);
  EXPECT_EQ(run({"quantize", model_, "q4_k_m", "-o", path("old.gguf"), "--force"}).code, kExitOk);
  EXPECT_GT(fs::file_size(path("old.gguf")), 1000000u);
}

TEST_F(ConvertCommand, QuantizeReportsSizesAndQuality) {
  std::ofstream(path("text.txt")) << "One day a girl went to the market. She saw a dog.";
  const Outcome outcome = run(
      {"quantize", model_, "Q4_0", "-o", path("q.gguf"), "--json", "--measure", path("text.txt")});
  ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["type"], "Q4_0");
  EXPECT_LT(report["bytes"].get<double>(), report["source_bytes"].get<double>());
  EXPECT_GT(report["measure"]["perplexity"].get<double>(), 1.0);
  EXPECT_GT(report["measure"]["mean_kl"].get<double>(), 0.0);
}

TEST_F(ConvertCommand, WrongNamesAreExplained) {
  Outcome outcome = run({"quantize", model_, "q4_k", "-o", path("q.gguf")});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_NE(outcome.err.find("Q4_K_M"), std::string::npos) << outcome.err;
  outcome = run({"synth", "deepseek-v9", "-o", path("s.gguf")});
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_NE(outcome.err.find("deepseek-v2-lite"), std::string::npos) << outcome.err;
  outcome = run({"synth", "v3-mini", "-o", path("s.bin")});
  EXPECT_EQ(outcome.code, kExitUsage);
  outcome = run({"convert", path("nothing.gguf"), "-o", path("x")});
  EXPECT_NE(outcome.code, kExitOk);
  EXPECT_TRUE(fs::is_empty(output_folder()));
}

}  // namespace
}  // namespace hadal::cli
