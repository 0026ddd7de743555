// Gradients of every parameter against PyTorch's (README of the goldens: formulas, tolerances).
#include "train/gradients.h"

#include <cmath>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>

#include "format/load.h"
#include "golden/goldens.h"

namespace hadal::golden {
namespace {

class Gradients : public testing::TestWithParam<std::string> {};

TEST_P(Gradients, MatchPyTorch) {
  const std::filesystem::path folder = goldens_root() / "models" / GetParam();
  const format::LoadedFiles files = format::load_model(folder.string());
  const Tensors expected((folder / "gradients.safetensors").string());
  const Tensors outputs((folder / "expected.safetensors").string());
  const std::vector<int64_t> shape = outputs.shape("input_ids");
  ThreadPool pool(2);
  const train::Context context{kernels::active(), pool, model::Precision::f32};
  train::Network network(files.model->config);
  network.load(context, *files.model);
  network.refresh(context);
  const train::Batch batch =
      train::next_token_batch(outputs.integers("input_ids"), shape[0],
                              files.model->config.vocab_size, "expected.safetensors");
  network.step(context, batch, train::comparison_weights(files.model->config), true);
  int compared = 0;
  for (const train::Parameter& p : network.parameters().list()) {
    if (!p.has_gradient || !expected.has(p.name)) continue;
    const std::vector<float> golden = expected.floats(p.name);
    ASSERT_EQ(static_cast<int64_t>(golden.size()), p.size()) << p.name;
    double difference = 0, norm = 0;
    for (size_t i = 0; i < golden.size(); ++i) {
      difference += std::pow(static_cast<double>(p.gradient[i] - golden[i]), 2);
      norm += std::pow(static_cast<double>(golden[i]), 2);
    }
    EXPECT_LE(std::sqrt(difference), 1e-3 * std::sqrt(norm)) << p.name;
    ++compared;
  }
  EXPECT_EQ(static_cast<size_t>(compared), expected.names().size());
}

// The first step of a training run: loss, the norm of all gradients together, and where tokens
// went.
TEST(TrainingRun, BeginsAsPyTorchs) {
  const std::filesystem::path root = goldens_root();
  const format::LoadedFiles files = format::load_model((root / "models" / "v3-f32-odd").string());
  const Tensors run((root / "training" / "adamw-run.safetensors").string());
  const std::vector<int64_t> shape = run.shape("tokens");  // [steps, sequences, length]
  const std::vector<int64_t> ids = run.integers("tokens");
  train::Batch batch;
  for (int64_t s = 0; s < shape[1]; ++s) {
    batch.documents.push_back(batch.rows());
    for (int64_t i = s * shape[2]; i + 1 < (s + 1) * shape[2]; ++i) {
      batch.tokens.push_back(static_cast<int32_t>(ids[static_cast<size_t>(i)]));
      batch.targets.push_back(static_cast<int32_t>(ids[static_cast<size_t>(i) + 1]));
    }
  }
  batch.documents.push_back(batch.rows());
  batch.sequences = batch.documents;
  ThreadPool pool(2);
  const train::Context context{kernels::active(), pool, model::Precision::f32};
  train::Network network(files.model->config);
  network.load(context, *files.model);
  network.refresh(context);
  const train::Losses losses = network.step(context, batch, {.mtp = 0, .balance = 0}, true);
  EXPECT_NEAR(losses.cross_entropy, static_cast<double>(run.floats("losses")[0]), 1e-4);
  double squares = 0;
  for (const train::Parameter& p : network.parameters().list())
    for (int64_t i = 0; p.has_gradient && i < p.size(); ++i)
      squares += std::pow(static_cast<double>(p.gradient[i]), 2);
  const auto norm = static_cast<double>(run.floats("gradient_norms")[0]);
  EXPECT_NEAR(std::sqrt(squares), norm, 1e-3 * norm);
  const std::vector<int64_t> loads = run.integers("expert_loads");
  size_t at = 0;
  for (const train::MoeLayer* moe : network.moe_layers())
    for (const int64_t load : moe->stats().load) EXPECT_EQ(load, loads[at++]);
  EXPECT_EQ(static_cast<int64_t>(at), run.shape("expert_loads")[1] * run.shape("expert_loads")[2]);
}

INSTANTIATE_TEST_SUITE_P(Models, Gradients,
                         testing::ValuesIn(golden_names("models",
                                                        [](const auto& path) {
                                                          return std::filesystem::exists(
                                                              path / "gradients.safetensors");
                                                        })),
                         [](const auto& given) {
                           std::string name = given.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Gradients);

}  // namespace
}  // namespace hadal::golden
