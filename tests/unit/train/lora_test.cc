// Low-rank adapters: their gradients are the full ones, which the goldens prove, projected; the
// model that is written has them merged.
#include "train/lora.h"

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "format/load.h"
#include "train/checkpoint.h"
#include "unit/train/small_network.h"

namespace hadal::train {
namespace {

class LoraTest : public testing::TestWithParam<model::Precision> {
 protected:
  LoraTest() {
    Network network(config_);
    set_random(network);
    write_model(folder_ + "/base", network.parameters(), {config_, {}}, false);
    base_ = format::load_model(folder_ + "/base");
  }
  ~LoraTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  // The base with adapters that are far from nothing.
  void load(Network& network) {
    network.load(context_, *base_.model);
    initialise_adapters(network.parameters(), 3);
    uint64_t stream = 0;
    for (Parameter& p : network.parameters().list()) {
      ++stream;
      for (int64_t i = 0; p.name.ends_with("lora_B.weight") && i < p.size(); ++i)
        p.value[i] = 0.3f * random_normal(11, stream, static_cast<uint64_t>(i));
    }
    network.refresh(context_);
  }
  // All weights of `adapted`, as they count, in a network that learns all of them.
  void merge(Network& adapted, Network& network) {
    for (Parameter& p : network.parameters().list()) {
      const Parameter& from = *adapted.parameters().find(p.name);
      if (p.shape.size() == 1) std::copy_n(from.value, p.size(), p.value);
      for (int64_t r = 0; p.shape.size() == 2 && r < p.shape[0]; ++r)
        read_row(from, r, p.value + r * p.shape[1]);
    }
    network.refresh(context_);
  }

  const model::ModelConfig config_ = small_config();
  const std::string folder_ =
      std::filesystem::temp_directory_path() / ("hadal-lora-" + std::to_string(getpid()));
  format::LoadedFiles base_;
  ThreadPool pool_{2};
  const Context context_{kernels::active(), pool_, GetParam()};
};

// The length of a - b beside that of b.
double relative(const float* a, const std::vector<double>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    norm += b[i] * b[i];
  }
  EXPECT_GT(norm, 0.0);
  return std::sqrt(difference / norm);
}

// scale B^T dW and scale dW A^T.
std::vector<double> of_a(const Parameter& w, const Parameter& matrix) {
  const int64_t rank = w.a->shape[0], cols = w.shape[1];
  std::vector<double> out(static_cast<size_t>(rank * cols));
  for (int64_t r = 0; r < w.shape[0]; ++r)
    for (int64_t i = 0; i < rank; ++i)
      for (int64_t c = 0; c < cols; ++c)
        out[static_cast<size_t>(i * cols + c)] +=
            static_cast<double>(w.scale * w.b->value[r * rank + i] * matrix.gradient[r * cols + c]);
  return out;
}
std::vector<double> of_b(const Parameter& w, const Parameter& matrix) {
  const int64_t rank = w.a->shape[0], cols = w.shape[1];
  std::vector<double> out(static_cast<size_t>(w.shape[0] * rank));
  for (int64_t r = 0; r < w.shape[0]; ++r)
    for (int64_t i = 0; i < rank; ++i)
      for (int64_t c = 0; c < cols; ++c)
        out[static_cast<size_t>(r * rank + i)] +=
            static_cast<double>(w.scale * w.a->value[i * cols + c] * matrix.gradient[r * cols + c]);
  return out;
}

TEST_P(LoraTest, GradientsAreThoseOfTheMatricesProjected) {
  Network adapted(config_, {.rank = 5, .alpha = 10}), whole(config_);
  load(adapted);
  merge(adapted, whole);
  const Batch batch = batch_of(lengths);
  const Losses losses = adapted.step(context_, batch, {}, true);
  EXPECT_EQ(losses.total, whole.step(context_, batch, {}, true).total);
  const double bound = GetParam() == model::Precision::f32 ? 1e-5 : 0.03;
  int count = 0;
  for (const Parameter& p : adapted.parameters().list()) {
    EXPECT_EQ(p.gradient != nullptr, p.is_adapter) << p.name;
    if (p.a == nullptr) continue;
    ++count;
    const Parameter& matrix = *whole.parameters().find(p.name);
    EXPECT_LT(relative(p.a->gradient, of_a(p, matrix)), bound) << p.name;
    EXPECT_LT(relative(p.b->gradient, of_b(p, matrix)), bound) << p.name;
  }
  // Three layers: attention's 5, the dense 3, experts' 3 times 4 and one shared.
  EXPECT_EQ(count, 3 * 5 + 3 + 2 * 15);
}

TEST_P(LoraTest, SameBitsWhateverTheThreads) {
  Network network(config_, {.rank = 5});
  load(network);
  ThreadPool three(3);
  const auto gradients = [&](ThreadPool& pool) {
    network.parameters().zero_gradients();
    network.step({kernels::active(), pool, GetParam()}, batch_of(lengths), {}, true);
    std::vector<float> out;
    for (const Parameter& p : network.parameters().list())
      if (p.is_adapter) out.insert(out.end(), p.gradient, p.gradient + p.size());
    return out;
  };
  EXPECT_EQ(gradients(pool_), gradients(three));
}

TEST_P(LoraTest, WritesTheModelMerged) {
  Network adapted(config_, {.rank = 4, .experts = false}), merged(config_), read(config_);
  load(adapted);
  merge(adapted, merged);
  write_model(folder_ + "/merged", adapted.parameters(), {config_, {}}, false);
  const format::LoadedFiles files = format::load_model(folder_ + "/merged");
  read.load(context_, *files.model);
  for (const Parameter& p : read.parameters().list()) {
    const Parameter& expected = *merged.parameters().find(p.name);
    EXPECT_TRUE(std::equal(p.value, p.value + p.size(), expected.value)) << p.name;
    const bool adapts = adapted.parameters().find(p.name)->a != nullptr;
    EXPECT_EQ(adapts, p.name.find("self_attn") != std::string::npos && p.shape.size() == 2);
  }
}

TEST_P(LoraTest, BeginsAsTheBase) {
  Network adapted(config_, {.rank = 4}), base(config_);
  adapted.load(context_, *base_.model);
  initialise_adapters(adapted.parameters(), 3);
  adapted.refresh(context_);
  base.load(context_, *base_.model);
  base.refresh(context_);
  const Batch batch = batch_of({9, 130, 2});
  EXPECT_EQ(adapted.step(context_, batch, {}, false).total,
            base.step(context_, batch, {}, false).total);
  const uint64_t hash = frozen_hash(adapted.parameters());
  EXPECT_NE(hash, 0u);
  adapted.parameters().find("model.norm.weight")->value[1] += 1.0f;
  EXPECT_NE(frozen_hash(adapted.parameters()), hash);
  EXPECT_EQ(frozen_hash(base.parameters()), 0u);
}

INSTANTIATE_TEST_SUITE_P(Precisions, LoraTest,
                         testing::Values(model::Precision::f32, model::Precision::native),
                         [](const auto& given) {
                           return given.param == model::Precision::f32 ? "f32" : "native";
                         });

}  // namespace
}  // namespace hadal::train
