#include "format/synth.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "files.h"
#include "format/load.h"
#include "kernels/kernels.h"

namespace hadal::format {
namespace {

using testing::ScratchFolder;

TEST(Shapes, HaveThePublishedNumberOfParameters) {
  const auto total = [](std::string_view name) {
    return model::count_parameters(*shape_config(name)).total;
  };
  EXPECT_EQ(total("deepseek-v2-lite"), 15'706'484'224);
  EXPECT_EQ(total("deepseek-v2"), 235'741'434'880);
  EXPECT_EQ(total("deepseek-v3"), 671'026'419'200);
  EXPECT_EQ(total("moonlight"), 15'960'110'208);
  EXPECT_EQ(total("kimi-k2"), 1'026'408'232'448);
  EXPECT_NEAR(static_cast<double>(total("v3-mini")), 1.382e9, 1e6);
  EXPECT_EQ(model::count_parameters(*shape_config("deepseek-v2-lite")).active, 2'661'150'208);
  EXPECT_FALSE(shape_config("deepseek-v9"));
  for (const Shape& shape : published_shapes()) {
    ASSERT_TRUE(shape_config(shape.name));
    model::validate(*shape_config(shape.name));
  }
}

TEST(Shapes, FilesHaveTheSizesOfOtherTools) {
  // llama.cpp's files of these shapes and mixtures: 10.36, 16.70, 2.77, 1.47 and 0.86 GB.
  const auto gigabytes = [](std::string_view name, quant::Mixture mixture) {
    return static_cast<double>(synth_bytes(*shape_config(name), mixture)) * 1e-9;
  };
  EXPECT_NEAR(gigabytes("deepseek-v2-lite", quant::Mixture::Q4_K_M), 10.36, 0.02);
  EXPECT_NEAR(gigabytes("deepseek-v2-lite", quant::Mixture::Q8_0), 16.70, 0.02);
  EXPECT_NEAR(gigabytes("v3-mini", quant::Mixture::BF16), 2.77, 0.01);
  EXPECT_NEAR(gigabytes("v3-mini", quant::Mixture::Q8_0), 1.47, 0.01);
  EXPECT_NEAR(gigabytes("v3-mini", quant::Mixture::Q4_K_M), 0.86, 0.01);
}

TEST(Synth, FilesLoadAndDependOnTheSeedAlone) {
  const ScratchFolder scratch;
  model::ModelConfig config = with_layers(*shape_config("v3-mini"), 2);
  config.vocab_size = 512;
  config.experts = 16;
  const auto write = [&](const char* name, quant::Mixture mixture, uint64_t seed, int threads) {
    ThreadPool pool(threads);
    const std::string path = (scratch.path() / name).string();
    const WriteReport report = write_synth(config, mixture, path, {.seed = seed}, pool);
    EXPECT_EQ(report.weights, static_cast<uint64_t>(model::count_parameters(config).total));
    EXPECT_EQ(report.bytes_after, synth_bytes(config, mixture));
    return path;
  };
  for (const auto mixture : {quant::Mixture::F32, quant::Mixture::BF16, quant::Mixture::Q8_0,
                             quant::Mixture::Q4_K_M, quant::Mixture::Q5_K_M, quant::Mixture::Q6_K,
                             quant::Mixture::Q4_0, quant::Mixture::IQ4_XS}) {
    const std::string name = std::string(quant::mixture_name(mixture)) + ".gguf";
    const LoadedFiles files = load_model(write(name.c_str(), mixture, 1, 2));
    EXPECT_EQ(files.model->config.expert_groups, 8);
    EXPECT_EQ(files.model->layers[1].experts.routed.size(), 16u);
    EXPECT_NEAR(files.model->config.attention_scale, config.attention_scale, 1e-6);
    ASSERT_TRUE(files.gguf_tokenizer);
    EXPECT_EQ(files.gguf_tokenizer->tokens.size(), 512u);
  }
  using testing::read_bytes;
  const auto bytes = read_bytes(write("a.gguf", quant::Mixture::Q4_K_M, 7, 1));
  EXPECT_TRUE(bytes == read_bytes(write("b.gguf", quant::Mixture::Q4_K_M, 7, 2)));
  EXPECT_FALSE(bytes == read_bytes(write("c.gguf", quant::Mixture::Q4_K_M, 8, 2)));
}

TEST(Synth, WritesTheOlderLayoutOfMla) {
  const ScratchFolder scratch;
  model::ModelConfig config = with_layers(*shape_config("v3-mini"), 2);
  config.vocab_size = 512;
  ThreadPool pool(2);
  const std::string path = (scratch.path() / "old.gguf").string();
  const WriteReport report =
      write_synth(config, quant::Mixture::Q8_0, path, {.joined_up = true}, pool);
  EXPECT_EQ(report.weights, static_cast<uint64_t>(model::count_parameters(config).total));
  const LoadedFiles files = load_model(path);
  const model::ModelConfig& c = files.model->config;
  EXPECT_EQ(c.qk_nope_dim, 64);
  EXPECT_EQ(c.v_dim, 64);
  EXPECT_NEAR(c.attention_scale, config.attention_scale, 1e-6);
  EXPECT_EQ(files.model->layers[1].attention.kv_b.rows, 16 * 128);
  EXPECT_EQ(files.model->layers[1].attention.k_b.data, nullptr);
}

TEST(Synth, WritesFp8FoldersOfUnitScale) {
  const ScratchFolder scratch;
  model::ModelConfig config = with_layers(*shape_config("v3-mini"), 2);
  config.vocab_size = 512;
  config.experts = 16;
  ThreadPool pool(2);
  const std::string folder = (scratch.path() / "fp8").string();
  const WriteReport report = write_synth_fp8(config, folder, {.seed = 3}, pool);
  EXPECT_EQ(report.weights, static_cast<uint64_t>(model::count_parameters(config).total));
  EXPECT_EQ(report.bytes_after, synth_fp8_bytes(config));
  const LoadedFiles files = load_model(folder);
  EXPECT_EQ(files.model->config.expert_groups, 8);
  const model::Matrix& gate = files.model->layers[1].experts.routed[15].gate;
  ASSERT_EQ(gate.type, quant::Type::FP8_E4M3);
  double squares = 0.0;
  std::vector<float> row(static_cast<size_t>(gate.cols));
  for (int64_t r = 0; r < gate.rows; ++r) {
    kernels::active().decode_row(&gate, r, row.data());
    for (const float x : row) squares += static_cast<double>(x) * x;
  }
  const double deviation = std::sqrt(squares / static_cast<double>(gate.rows * gate.cols));
  EXPECT_NEAR(deviation * std::sqrt(1024.0), 1.0, 0.02);
}

}  // namespace
}  // namespace hadal::format
