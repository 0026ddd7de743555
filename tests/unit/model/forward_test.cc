#include "model/forward.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "unit/model/tiny_model.h"

namespace hadal::model {
namespace {

using testing::tiny_model;
using testing::tiny_tokens;
using testing::TinyOptions;

const std::vector<int32_t> three_pages = {0, 1, 2};

std::vector<float> logits_of(const Model& model, Precision precision, quant::Type cache_type,
                             AttentionForm form, int64_t n, Trace* trace = nullptr) {
  ThreadPool pool(1);
  Runner runner(model, precision, pool, 256);
  KvCache cache(model.config, cache_type, 3);
  const auto tokens = tiny_tokens(5, n);
  const Segment segment{tokens, 0, three_pages, form, 0};
  const auto logits = runner.forward(cache, std::span(&segment, 1), trace);
  return {logits.begin(), logits.end()};
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  float largest = 0.0f;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::fabs(a[i] - b[i]));
  return largest;
}

float largest(const std::vector<float>& a) {
  return largest_difference(a, std::vector<float>(a.size()));
}

TEST(Forward, AbsorbedEqualsExpanded) {
  for (const bool split : {false, true}) {
    const auto model = tiny_model({.split_kv_b = split});
    const auto a =
        logits_of(*model, Precision::f32, quant::Type::F32, AttentionForm::expanded, 140);
    const auto b =
        logits_of(*model, Precision::f32, quant::Type::F32, AttentionForm::absorbed, 140);
    ASSERT_EQ(a.size(), 140u * 96u);
    EXPECT_LT(largest_difference(a, b), 1e-5f * largest(a));
  }
}

// Deep in a context the absorbed walk is cut into spans of several pages.
TEST(Forward, AbsorbedEqualsExpandedDeepInAContext) {
  const auto model = tiny_model({});
  ThreadPool pool(2);
  Runner runner(*model, Precision::f32, pool, 1200);
  KvCache cache(model->config, quant::Type::F32, 19);
  std::vector<int32_t> pages(19);
  std::iota(pages.begin(), pages.end(), 0);
  const auto tokens = tiny_tokens(5, 1155);
  const Segment prompt{tokens, 0, pages, AttentionForm::expanded, 1150};
  const auto logits = runner.forward(cache, std::span(&prompt, 1));
  const std::vector<float> expanded(logits.begin(), logits.end());
  const Segment tail{std::span(tokens).subspan(1150), 1150, pages, AttentionForm::absorbed, 0};
  const auto again = runner.forward(cache, std::span(&tail, 1));
  const std::vector<float> absorbed(again.begin(), again.end());
  ASSERT_EQ(absorbed.size(), expanded.size());
  EXPECT_LT(largest_difference(expanded, absorbed), 1e-5f * largest(expanded));
}

// Attention written out: every earlier position counts and no later one does.
TEST(Forward, IsCausalAndSeesAllThatWentBefore) {
  const auto model = tiny_model({});
  ThreadPool pool(1);
  Runner runner(*model, Precision::f32, pool, 256);
  KvCache cache(model->config, quant::Type::F32, 3);
  auto tokens = tiny_tokens(5, 100);
  const auto run = [&] {
    const Segment segment{tokens, 0, three_pages, AttentionForm::expanded, 0};
    const auto logits = runner.forward(cache, std::span(&segment, 1));
    return std::vector<float>(logits.begin(), logits.end());
  };
  const auto before = run();
  tokens[70] = (tokens[70] + 1) % 96;
  const auto after = run();
  for (size_t position = 0; position < 100; ++position) {
    const bool same = std::equal(before.begin() + static_cast<int64_t>(position) * 96,
                                 before.begin() + static_cast<int64_t>(position + 1) * 96,
                                 after.begin() + static_cast<int64_t>(position) * 96);
    EXPECT_EQ(same, position < 70) << position;
  }
}

TEST(Forward, ReturnsTheLogitsThatWereAskedFor) {
  const auto model = tiny_model({});
  const auto all = logits_of(*model, Precision::f32, quant::Type::F32, AttentionForm::expanded, 20);
  ThreadPool pool(1);
  Runner runner(*model, Precision::f32, pool, 256);
  KvCache cache(model->config, quant::Type::F32, 2);
  const auto tokens = tiny_tokens(5, 20);
  const std::vector<int32_t> first = {0};
  const std::vector<int32_t> second = {1};
  const Segment segments[] = {{tokens, 0, first, AttentionForm::expanded, 20},
                              {tokens, 0, second, AttentionForm::expanded, 18}};
  const auto logits = runner.forward(cache, segments);
  ASSERT_EQ(logits.size(), 2u * 96u);
  EXPECT_TRUE(std::equal(logits.begin(), logits.end(), all.end() - 2 * 96));
}

TEST(Forward, TraceHoldsStatesAndChoices) {
  const auto model = tiny_model({.mtp_layers = 1});
  Trace trace;
  const auto logits =
      logits_of(*model, Precision::f32, quant::Type::F32, AttentionForm::expanded, 20, &trace);
  ASSERT_EQ(trace.hidden.size(), 2u);
  EXPECT_EQ(trace.hidden[1].size(), 20u * 64u);
  ASSERT_EQ(trace.final_hidden.size(), 20u * 64u);
  ASSERT_EQ(trace.routers.size(), 2u);
  EXPECT_TRUE(trace.routers[0].experts.empty());
  ASSERT_EQ(trace.routers[1].experts.size(), 20u * 3u);
  for (size_t row = 0; row < 20; ++row) {
    const auto* chosen = trace.routers[1].experts.data() + 3 * row;
    const auto* weights = trace.routers[1].weights.data() + 3 * row;
    EXPECT_TRUE(chosen[0] < chosen[1] && chosen[1] < chosen[2]);
    EXPECT_NEAR(weights[0] + weights[1] + weights[2], 2.5f, 1e-5f);
  }
}

// Rows of the MTP layer are the same alone, in pieces and beside another sequence; final_hidden()
// gives the states that they join.
TEST(Forward, MtpDoesNotDependOnCompany) {
  const auto model = tiny_model({.mtp_layers = 1});
  const auto tokens = tiny_tokens(5, 21);
  ThreadPool pool(2);
  Runner runner(*model, Precision::f32, pool, 64);
  KvCache cache(model->config, quant::Type::F32, 6);
  const std::vector<int32_t> other_pages = {3, 4, 5};
  Trace trace;
  const Segment prompt{std::span(tokens).first(20), 0, three_pages, AttentionForm::absorbed, 20};
  runner.forward(cache, {&prompt, 1}, &trace);
  std::vector<float> hidden(20 * 64), part(3 * 64);
  runner.final_hidden(0, 20, hidden.data());
  EXPECT_EQ(hidden, trace.final_hidden);
  runner.final_hidden(7, 3, part.data());
  EXPECT_EQ(part, std::vector<float>(hidden.begin() + 7 * 64, hidden.begin() + 10 * 64));

  const auto following = std::span(tokens).subspan(1);
  const Segment whole{following, 0, three_pages, AttentionForm::absorbed, 0};
  Trace mtp_trace;
  const auto at_once = runner.forward_mtp(cache, {&whole, 1}, hidden, &mtp_trace);
  ASSERT_EQ(at_once.logits.size(), 20u * 96u);
  ASSERT_EQ(at_once.hidden.size(), 20u * 64u);
  ASSERT_EQ(mtp_trace.routers.size(), 3u);
  EXPECT_EQ(mtp_trace.routers[2].experts.size(), 20u * 3u);
  const std::vector<float> expected(at_once.logits.begin(), at_once.logits.end());
  const std::vector<float> states(at_once.hidden.begin(), at_once.hidden.end());

  const Segment first{following.first(13), 0, other_pages, AttentionForm::absorbed, 13};
  EXPECT_TRUE(runner.forward_mtp(cache, {&first, 1}, hidden).logits.empty());
  const Segment both[] = {{following.first(3), 0, three_pages, AttentionForm::absorbed, 3},
                          {following.subspan(13), 13, other_pages, AttentionForm::absorbed, 6}};
  std::vector<float> joined(hidden.begin(), hidden.begin() + 3 * 64);
  joined.insert(joined.end(), hidden.begin() + 13 * 64, hidden.end());
  const auto last = runner.forward_mtp(cache, both, joined);
  EXPECT_TRUE(
      std::equal(last.logits.begin(), last.logits.end(), expected.end() - 96, expected.end()));
  EXPECT_TRUE(std::equal(last.hidden.begin(), last.hidden.end(), states.end() - 64, states.end()));
  // A prediction continues from its own state.
  const int32_t guess = 17;
  const Segment next{{&guess, 1}, 20, other_pages, AttentionForm::absorbed, 0};
  EXPECT_EQ(runner.forward_mtp(cache, {&next, 1}, last.hidden).logits.size(), 96u);
}

TEST(Forward, CanBeComputedLayerByLayer) {
  const auto model = tiny_model({});
  const auto tokens = tiny_tokens(5, 20);
  ThreadPool pool(1);
  Runner runner(*model, Precision::f32, pool, 64);
  KvCache cache(model->config, quant::Type::F32, 3);
  const Segment segment{tokens, 0, three_pages, AttentionForm::expanded, 19};
  runner.begin(cache, {&segment, 1});
  EXPECT_TRUE(runner.advance());
  // Given up, and begun again.
  runner.begin(cache, {&segment, 1});
  int64_t layers = 1;
  while (runner.advance()) ++layers;
  EXPECT_EQ(layers, model->config.layers);
  const auto logits = runner.finish();
  const std::vector<float> after(logits.begin(), logits.end());
  const auto expected =
      logits_of(*model, Precision::f32, quant::Type::F32, AttentionForm::expanded, 20);
  EXPECT_EQ(after, std::vector<float>(expected.end() - 96, expected.end()));
}

// BF16 inputs and an int8 definition lose something, and not much.
TEST(Forward, PrecisionsStayCloseToF32) {
  const auto model = tiny_model({.type = quant::Type::Q8_0});
  const auto f32 = logits_of(*model, Precision::f32, quant::Type::F32, AttentionForm::expanded, 60);
  for (const Precision precision : {Precision::native, Precision::bf16}) {
    const auto other = logits_of(*model, precision, quant::Type::BF16, AttentionForm::expanded, 60);
    double sum = 0, norm = 0;
    for (size_t i = 0; i < f32.size(); ++i) {
      sum += std::pow(static_cast<double>(other[i] - f32[i]), 2);
      norm += std::pow(static_cast<double>(f32[i]), 2);
    }
    EXPECT_GT(sum, 0.0);
    EXPECT_LT(std::sqrt(sum / norm), 0.2);  // near ties of the router may fall the other way
  }
}

// Weights from a hostile file may hold anything: the step ends, whatever it computes.
TEST(Forward, SurvivesWeightsThatAreNoNumbers) {
  const auto model = tiny_model({});
  auto* gate = static_cast<float*>(const_cast<void*>(model->layers[0].dense.gate.data));
  std::fill_n(gate, 64 * 64, std::numeric_limits<float>::quiet_NaN());
  const auto logits =
      logits_of(*model, Precision::native, quant::Type::BF16, AttentionForm::absorbed, 80);
  EXPECT_EQ(logits.size(), 80u * 96u);
}

}  // namespace
}  // namespace hadal::model
