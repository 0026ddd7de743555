// Optimizers against PyTorch's: 50 steps of AdamW with the rule that balances experts, and steps of
// Muon (README of the goldens: tolerances).
#include "train/optimizer.h"

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "format/load.h"
#include "golden/goldens.h"

namespace hadal::golden {
namespace {

train::Batch training_batch(const std::vector<int64_t>& ids, const std::vector<int64_t>& shape,
                            int64_t step) {
  train::Batch batch;
  const int64_t length = shape[2];
  for (int64_t s = step * shape[1]; s < (step + 1) * shape[1]; ++s) {
    batch.documents.push_back(batch.rows());
    for (int64_t i = s * length; i + 1 < (s + 1) * length; ++i) {
      batch.tokens.push_back(static_cast<int32_t>(ids[static_cast<size_t>(i)]));
      batch.targets.push_back(static_cast<int32_t>(ids[static_cast<size_t>(i) + 1]));
    }
  }
  batch.documents.push_back(batch.rows());
  batch.sequences = batch.documents;
  return batch;
}

// A batch in two parts must be the same as whole; so must any number of threads.
class AdamwRun : public testing::TestWithParam<int> {};

TEST_P(AdamwRun, LearnsAsPyTorch) {
  const std::filesystem::path root = goldens_root();
  const format::LoadedFiles files = format::load_model((root / "models" / "v3-f32-odd").string());
  const Tensors run((root / "training" / "adamw-run.safetensors").string());
  const std::vector<int64_t> shape = run.shape("tokens"), ids = run.integers("tokens");
  const std::vector<int64_t> expected_loads = run.integers("expert_loads");
  const std::vector<float> losses = run.floats("losses"), norms = run.floats("gradient_norms");
  ThreadPool pool(GetParam());
  const train::Context context{kernels::active(), pool, model::Precision::f32};
  train::Network network(files.model->config);
  network.load(context, *files.model);
  train::OptimizerOptions options;
  options.muon = false;
  options.matrix = options.embedding = options.router = {1e-3, 0.1};
  options.vector = {1e-3, 0.0};
  train::Optimizer optimizer(network.parameters(), network.config(), options);
  const std::vector<train::MoeLayer*> layers = network.moe_layers();
  size_t load_at = 0;
  for (int64_t step = 0; step < shape[0]; ++step) {
    network.refresh(context);
    network.parameters().zero_gradients();
    const auto i = static_cast<size_t>(step);
    const train::LossWeights weights{.mtp = 0, .balance = 0};
    const double loss =
        network.step(context, training_batch(ids, shape, step), weights, true).cross_entropy;
    const double norm = optimizer.gradient_norm(context);
    EXPECT_NEAR(loss, static_cast<double>(losses[i]), step < 32 ? 1e-3 : 5e-2) << step;
    const auto golden_norm = static_cast<double>(norms[i]);
    EXPECT_NEAR(norm, golden_norm, (step < 32 ? 1e-3 : 0.1) * golden_norm) << step;
    std::vector<std::vector<int64_t>> loads;
    for (const train::MoeLayer* layer : layers) {
      loads.push_back(layer->stats().load);
      for (const int64_t load : loads.back()) {
        if (step < 32) {
          EXPECT_EQ(load, expected_loads[load_at]) << step;
        }
        ++load_at;
      }
    }
    optimizer.step(context, norm, 1.0);
    train::balance_experts(layers, loads, 1e-3);
    if (step != 29) continue;
    const std::filesystem::path weights_path = root / "training" / "adamw-step30.safetensors";
    if (!std::filesystem::exists(weights_path)) continue;  // a plain clone has no room for it
    const Tensors after(weights_path.string());
    for (const train::Parameter& p : network.parameters().list()) {
      const std::vector<float> golden = after.floats(p.name);
      double difference = 0, length = 0;
      for (size_t k = 0; k < golden.size(); ++k) {
        difference += std::pow(static_cast<double>(p.value[k] - golden[k]), 2);
        length += std::pow(static_cast<double>(golden[k]), 2);
      }
      EXPECT_LE(std::sqrt(difference), 1e-3 * std::sqrt(length)) << p.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, AdamwRun, testing::Values(1, 2));

class MuonSteps : public testing::TestWithParam<model::Precision> {};

TEST_P(MuonSteps, MoveAsPyTorchs) {
  const std::filesystem::path path = goldens_root() / "training" / "muon.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "not in a plain clone";
  const Tensors golden(path);
  ThreadPool pool(2);
  const train::Context context{kernels::active(), pool, GetParam()};
  for (const char* size : {"128x24", "40x96", "64x64", "96x40"}) {
    for (const auto scale : {train::MuonScale::original, train::MuonScale::match_rms_adamw}) {
      const std::string name =
          std::string(size) +
          (scale == train::MuonScale::original ? ".original." : ".match_rms_adamw.");
      train::Parameters parameters;
      train::Parameter& p = parameters.add("matrix.weight", golden.shape(name + "before"));
      parameters.allocate();
      const auto set = [&](const std::string& tensor, float* to) {
        const std::vector<float> values = golden.floats(name + tensor);
        std::copy(values.begin(), values.end(), to);
      };
      set("before", p.value);
      train::OptimizerOptions options;
      options.matrix = {0.02, 0.1};
      options.scale = scale;
      options.clip = 0;
      train::Optimizer optimizer(parameters, {}, options);
      std::vector<float> before = golden.floats(name + "before");
      for (int step = 0; step < 5; ++step) {
        set("gradient." + std::to_string(step), p.gradient);
        optimizer.step(context, 0, 1.0);
        const std::vector<float> after = golden.floats(name + "after." + std::to_string(step));
        double difference = 0, length = 0;  // of the updates, decay aside
        for (size_t i = 0; i < after.size(); ++i) {
          const float moved = after[i] - before[i] * (1.0f - 0.02f * 0.1f);
          difference += std::pow(static_cast<double>(p.value[i] - after[i]), 2);
          length += std::pow(static_cast<double>(moved), 2);
        }
        // In F32 it is PyTorch's own rounding that shows.
        const double bound = GetParam() == model::Precision::native ? 2e-2 : 3e-2;
        EXPECT_LE(std::sqrt(difference), bound * std::sqrt(length)) << name << step;
        std::copy(after.begin(), after.end(), p.value);
        before = after;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, MuonSteps,
                         testing::Values(model::Precision::f32, model::Precision::native));

}  // namespace
}  // namespace hadal::golden
