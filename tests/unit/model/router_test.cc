#include "model/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "base/random.h"

namespace hadal::model {
namespace {

ModelConfig v3_config() {
  ModelConfig c;
  c.experts = 32;
  c.experts_per_token = 4;
  c.expert_groups = 8;
  c.expert_groups_used = 4;
  c.group_score = GroupScore::top2_sum;
  c.scoring = Scoring::sigmoid;
  c.normalize_expert_weights = true;
  c.expert_weights_scale = 2.5;
  return c;
}

// The rule as the papers state it, in double and by full sorts.
std::map<int32_t, double> brute_force(const ModelConfig& c, const std::vector<float>& logits,
                                      const std::vector<float>& bias) {
  const auto experts = static_cast<size_t>(c.experts);
  const auto groups = static_cast<size_t>(c.expert_groups);
  std::vector<double> scores(experts), biased(experts);
  double sum = 0;
  for (size_t e = 0; e < experts; ++e) sum += std::exp(static_cast<double>(logits[e]));
  for (size_t e = 0; e < experts; ++e) {
    const double z = static_cast<double>(logits[e]);
    scores[e] = c.scoring == Scoring::softmax ? std::exp(z) / sum : 1.0 / (1.0 + std::exp(-z));
    biased[e] = scores[e] + (bias.empty() ? 0.0 : static_cast<double>(bias[e]));
  }
  std::vector<std::pair<double, size_t>> ranking;  // (-score, group)
  for (size_t g = 0; g < groups; ++g) {
    std::vector<double> members(biased.begin() + static_cast<int64_t>(g * experts / groups),
                                biased.begin() + static_cast<int64_t>((g + 1) * experts / groups));
    std::sort(members.rbegin(), members.rend());
    ranking.emplace_back(-(c.group_score == GroupScore::max ? members[0] : members[0] + members[1]),
                         g);
  }
  std::sort(ranking.begin(), ranking.end());
  std::set<size_t> kept;
  for (int64_t i = 0; i < c.expert_groups_used; ++i)
    kept.insert(ranking[static_cast<size_t>(i)].second);
  std::vector<std::pair<double, size_t>> chosen;
  for (size_t e = 0; e < experts; ++e)
    if (kept.contains(e * groups / experts)) chosen.emplace_back(-biased[e], e);
  std::sort(chosen.begin(), chosen.end());
  chosen.resize(static_cast<size_t>(c.experts_per_token));
  double total = 1e-20;
  for (const auto& [score, e] : chosen) total += scores[e];
  std::map<int32_t, double> weights;
  for (const auto& [score, e] : chosen)
    weights[static_cast<int32_t>(e)] =
        scores[e] / (c.normalize_expert_weights ? total : 1.0) * c.expert_weights_scale;
  return weights;
}

void expect_equals_brute_force(const ModelConfig& c, bool with_bias) {
  Router router(c);
  const auto experts = static_cast<size_t>(c.experts);
  std::vector<int32_t> chosen(static_cast<size_t>(c.experts_per_token));
  std::vector<float> weights(chosen.size());
  for (uint64_t trial = 0; trial < 500; ++trial) {
    std::vector<float> logits(experts), bias(with_bias ? experts : 0);
    for (size_t e = 0; e < experts; ++e) logits[e] = 2.0f * random_normal(1, trial, e);
    // Mostly negative biased scores: a mask of 0 instead of -infinity would choose wrongly.
    for (size_t e = 0; e < bias.size(); ++e) bias[e] = random_normal(2, trial, e) - 1.5f;
    const auto expected = brute_force(c, logits, bias);
    router.choose(kernels::active(), logits.data(), bias, chosen.data(), weights.data());
    EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
    for (size_t i = 0; i < chosen.size(); ++i) {
      ASSERT_TRUE(expected.contains(chosen[i])) << "trial " << trial;
      EXPECT_NEAR(static_cast<double>(weights[i]) / expected.at(chosen[i]), 1.0, 1e-6);
    }
  }
}

TEST(Router, V3EqualsBruteForce) {
  expect_equals_brute_force(v3_config(), true);
}

TEST(Router, WithoutGroupsEqualsBruteForce) {
  ModelConfig c = v3_config();
  c.expert_groups = c.expert_groups_used = 1;
  expect_equals_brute_force(c, true);
}

TEST(Router, V2EqualsBruteForce) {
  ModelConfig c = v3_config();
  c.scoring = Scoring::softmax;
  c.group_score = GroupScore::max;
  c.normalize_expert_weights = false;
  c.expert_weights_scale = 16.0;
  c.expert_groups_used = 3;
  expect_equals_brute_force(c, false);
}

TEST(Router, TiesGoToTheLowestIndex) {
  const ModelConfig c = v3_config();
  Router router(c);
  std::vector<float> logits(32, 0.5f);
  int32_t experts[4];
  float weights[4];
  router.choose(kernels::active(), logits.data(), {}, experts, weights);
  for (int32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(experts[i], i);
    EXPECT_FLOAT_EQ(weights[i], 2.5f / 4.0f);
  }
}

TEST(Router, ScoresThatAreNoNumbersLose) {
  const ModelConfig c = v3_config();
  Router router(c);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  int32_t experts[4];
  float weights[4];
  std::vector<float> logits(32, nan);
  for (const int32_t good : {8, 9, 20, 21}) logits[static_cast<size_t>(good)] = 0.0f;
  router.choose(kernels::active(), logits.data(), {}, experts, weights);
  EXPECT_EQ(std::vector<int32_t>(experts, experts + 4), (std::vector<int32_t>{8, 9, 20, 21}));
  // Nothing but nonsense: still four different experts, the same every time.
  for (const float nonsense : {nan, infinity, -infinity}) {
    logits.assign(32, nonsense);
    std::vector<float> bias(32, -infinity);
    router.choose(kernels::active(), logits.data(), bias, experts, weights);
    EXPECT_EQ(std::vector<int32_t>(experts, experts + 4), (std::vector<int32_t>{0, 1, 2, 3}));
  }
}

}  // namespace
}  // namespace hadal::model
