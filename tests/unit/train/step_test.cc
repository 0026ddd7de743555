// A step of training: the same bits whatever the threads and whatever came before, and BF16
// gradients beside those of floats.
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "train/network.h"

namespace hadal::train {
namespace {

model::ModelConfig small_config() {
  model::ModelConfig c;
  c.vocab_size = 96;
  c.hidden_size = 64;
  c.layers = 2;
  c.heads = c.kv_heads = 2;
  c.context_length = 1024;
  c.tied_head = true;
  c.q_lora_rank = 40;
  c.kv_lora_rank = 32;
  c.qk_nope_dim = 24;
  c.qk_rope_dim = 8;
  c.v_dim = 24;
  c.attention_scale = 0.18;
  c.intermediate_size = 80;
  c.moe_intermediate_size = 48;
  c.experts = 4;
  c.experts_per_token = 2;
  c.shared_experts = 1;
  c.first_dense_layers = 1;
  c.scoring = model::Scoring::sigmoid;
  c.normalize_expert_weights = true;
  c.mtp_layers = 1;
  return c;
}

// Documents of these lengths, a sequence each.
Batch batch_of(const std::vector<int64_t>& lengths) {
  Batch batch;
  batch.documents.push_back(0);
  for (const int64_t length : lengths) batch.documents.push_back(batch.documents.back() + length);
  batch.sequences = batch.documents;
  for (int64_t i = 0; i < batch.documents.back(); ++i) {
    const auto draw = [&](uint64_t stream) {
      return static_cast<int32_t>(96 * random_uniform(4, stream, static_cast<uint64_t>(i)));
    };
    batch.tokens.push_back(draw(0));
    batch.targets.push_back(i % 7 == 3 ? -1 : draw(1));
  }
  return batch;
}

void set_random(Network& network) {
  uint64_t stream = 0;
  for (Parameter& p : network.parameters().list()) {
    ++stream;
    for (int64_t i = 0; p.has_gradient && i < p.size(); ++i)
      p.value[i] = (p.shape.size() == 1 ? 1.0f : 0.0f) +
                   0.1f * random_normal(9, stream, static_cast<uint64_t>(i));
  }
}

std::vector<float> gradients(Network& network, const Context& context, const Batch& batch) {
  network.parameters().zero_gradients();
  network.step(context, batch, {}, true);
  std::vector<float> out;
  for (const Parameter& p : network.parameters().list())
    if (p.has_gradient) out.insert(out.end(), p.gradient, p.gradient + p.size());
  return out;
}

// Longer than the spans and chunks of rows that the passes work in, and shorter than any.
const std::vector<int64_t> lengths = {600, 1, 33, 70};

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
