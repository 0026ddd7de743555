// A step of training: the same bits whatever the threads and whatever came before, and BF16
// gradients beside those of floats.
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "unit/train/small_network.h"

namespace hadal::train {
namespace {

std::vector<float> gradients(Network& network, const Context& context, const Batch& batch) {
  network.parameters().zero_gradients();
  network.step(context, batch, {}, true);
  std::vector<float> out;
  for (const Parameter& p : network.parameters().list())
    if (p.has_gradient) out.insert(out.end(), p.gradient, p.gradient + p.size());
  return out;
}

class Step : public testing::TestWithParam<model::Precision> {};

TEST_P(Step, SameBitsWhateverTheThreadsAndWhatCameBefore) {
  ThreadPool one(1), three(3);
  const Context alone{kernels::active(), one, GetParam()};
  const Context together{kernels::active(), three, GetParam()};
  Network network(small_config());
  set_random(network);
  network.refresh(alone);
  const std::vector<float> expected = gradients(network, alone, batch_of(lengths));
  gradients(network, together, batch_of({9, 130, 2}));
  network.refresh(together);
  EXPECT_EQ(gradients(network, together, batch_of(lengths)), expected);
}

TEST_P(Step, SameBitsWhenLayersAreComputedAgain) {
  ThreadPool pool(2);
  const Context context{kernels::active(), pool, GetParam()};
  for (const bool compressed : {true, false}) {
    model::ModelConfig config = small_config();
    config.layers = 4;
    if (!compressed) {  // Qwen's attention and no experts
      config.architecture = model::Architecture::qwen3;
      config.kv_lora_rank = config.q_lora_rank = config.experts = config.mtp_layers = 0;
      config.head_dim = 32;
      config.qk_norm = true;
      config.attention_bias = true;
    }
    Network keeping(config), again(config);
    again.set_recompute(true);
    for (Network* network : {&keeping, &again}) {
      set_random(*network);
      network->refresh(context);
    }
    for (const std::vector<int64_t>& documents : {lengths, {9, 130, 2}})
      EXPECT_EQ(gradients(again, context, batch_of(documents)),
                gradients(keeping, context, batch_of(documents)));
    EXPECT_EQ(again.step(context, batch_of(lengths), {}, false).total,
              keeping.step(context, batch_of(lengths), {}, false).total);
    for (size_t i = 0; i < keeping.moe_layers().size(); ++i)
      EXPECT_EQ(again.moe_layers()[i]->stats().load, keeping.moe_layers()[i]->stats().load);
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, Step,
                         testing::Values(model::Precision::f32, model::Precision::native),
                         [](const auto& given) {
                           return given.param == model::Precision::f32 ? "f32" : "native";
                         });

TEST(StepPrecision, Bf16GradientsAreNearThoseOfFloats) {
  ThreadPool pool(2);
  const Context floats{kernels::active(), pool, model::Precision::f32};
  const Context native{kernels::active(), pool, model::Precision::native};
  Network network(small_config());
  set_random(network);
  network.refresh(floats);
  const std::vector<float> expected = gradients(network, floats, batch_of(lengths));
  network.refresh(native);
  const std::vector<float> rounded = gradients(network, native, batch_of(lengths));
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(static_cast<double>(rounded[i] - expected[i]), 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  EXPECT_GT(norm, 0.0);
  EXPECT_GT(difference, 0.0);  // they are rounded
  EXPECT_LT(std::sqrt(difference / norm), 0.03) << std::sqrt(difference / norm);
}

}  // namespace
}  // namespace hadal::train
