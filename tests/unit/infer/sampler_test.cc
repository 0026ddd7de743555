#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"

namespace hadal::infer {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(size_t n, uint64_t seed, float scale = 2.0f) {
  std::vector<float> logits(n);
  for (size_t i = 0; i < n; ++i) logits[i] = scale * random_normal(seed, 1, i);
  return logits;
}

// The distribution by the text of sampler.h, as plainly as it can be written.
std::vector<double> distribution(std::vector<float> logits, const SamplingParams& p,
                                 const TokenCounts* counts = nullptr) {
  const size_t n = logits.size();
  for (const auto& [id, bias] : p.logit_bias) logits[static_cast<size_t>(id)] += bias;
  if (counts) {
    for (const int32_t token : counts->seen()) {
      float& l = logits[static_cast<size_t>(token)];
      l = l > 0 ? l / static_cast<float>(p.repetition_penalty)
                : l * static_cast<float>(p.repetition_penalty);
      const auto count = static_cast<float>(counts->generated(token));
      l -= count * static_cast<float>(p.frequency_penalty);
      if (count > 0) l -= static_cast<float>(p.presence_penalty);
    }
  }
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  std::vector<double> weights(n);
  for (size_t i = 0; i < n; ++i)
    weights[i] = std::exp((static_cast<double>(logits[i]) - static_cast<double>(logits[order[0]])) /
                          p.temperature);
  size_t kept = p.top_k > 0 ? std::min(n, static_cast<size_t>(p.top_k)) : n;
  if (p.top_p < 1) {
    double total = 0, sum = 0;
    for (size_t i = 0; i < kept; ++i) total += weights[order[i]];
    size_t last = 0;
    while (last < kept && (sum += weights[order[last++]]) < p.top_p * total) {
    }
    kept = last;
  }
  std::vector<double> result(n, 0.0);
  double total = 0;
  for (size_t i = 0; i < kept; ++i)
    if (weights[order[i]] >= p.min_p) total += result[order[i]] = weights[order[i]];
  for (double& r : result) r /= total;
  return result;
}

// Draws and compares with the expected distribution by chi-square; tokens with few expected draws
// are put together. Tokens of probability 0 must never come.
void expect_distribution(const std::vector<float>& logits, const SamplingParams& params,
                         const std::vector<double>& expected, const TokenCounts* counts = nullptr) {
  constexpr int draws = 40000;
  Sampler sampler(static_cast<int64_t>(logits.size()));
  std::vector<TokenLogprob> top;
  std::vector<int> observed(logits.size());
  for (int i = 0; i < draws; ++i) {
    const Sampled s = sampler.sample(logits, params, counts, 7, 3, static_cast<uint64_t>(i), top);
    ASSERT_EQ(s.status, Sampled::Status::ok);
    ++observed[static_cast<size_t>(s.token)];
  }
  double chi = 0, rest_expected = 0;
  int degrees = -1, rest_observed = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double e = expected[i] * draws;
    if (expected[i] == 0) {
      ASSERT_EQ(observed[i], 0) << "token " << i << " was cut";
    }
    if (e < 10) {
      rest_expected += e;
      rest_observed += observed[i];
      continue;
    }
    chi += (observed[i] - e) * (observed[i] - e) / e;
    ++degrees;
  }
  if (rest_expected >= 5) {
    chi += (rest_observed - rest_expected) * (rest_observed - rest_expected) / rest_expected;
    ++degrees;
  }
  // Wilson-Hilferty: about 4.5 standard deviations; the seeds are fixed, so this never flickers.
  if (degrees < 1) return;
  const double z =
      (std::cbrt(chi / degrees) - (1 - 2.0 / (9.0 * degrees))) / std::sqrt(2.0 / (9.0 * degrees));
  EXPECT_LT(z, 4.5) << "chi-square " << chi << " with " << degrees << " degrees";
}

SamplingParams with(void (*change)(SamplingParams&)) {
  SamplingParams params;
  change(params);
  return params;
}

TEST(Sampler, DrawsFromTheExactDistribution) {
  const std::vector<SamplingParams> all = {
      with([](SamplingParams&) {}),
      with([](SamplingParams& p) { p.temperature = 0.6; }),
      with([](SamplingParams& p) { p.temperature = 1.7; }),
      with([](SamplingParams& p) { p.top_k = 5; }),
      with([](SamplingParams& p) { p.top_p = 0.8; }),
      with([](SamplingParams& p) { p.min_p = 0.2; }),
      with([](SamplingParams& p) { p.temperature = 1.3, p.top_k = 20, p.top_p = 0.7; }),
      with([](SamplingParams& p) { p.top_k = 30, p.top_p = 0.95, p.min_p = 0.1; }),
      with([](SamplingParams& p) { p.logit_bias = {{3, 2.5f}, {4, -infinity}}; }),
  };
  const std::vector<float> logits = random_logits(300, 11);
  for (const SamplingParams& params : all)
    expect_distribution(logits, params, distribution(logits, params));
}

TEST(Sampler, PenaltiesFollowTheCounts) {
  const std::vector<float> logits = random_logits(64, 5);
  TokenCounts counts(64);
  counts.add_prompt(std::vector<int32_t>{1, 2, 2, 3});
  for (const int32_t token : {2, 9, 9, 9, 40}) counts.add_generated(token);
  EXPECT_EQ(counts.generated(2), 1u);
  EXPECT_EQ(counts.generated(1), 0u);
  EXPECT_EQ(counts.seen().size(), 5u);
  SamplingParams params;
  params.repetition_penalty = 1.3;
  params.frequency_penalty = 0.7;
  params.presence_penalty = -0.4;
  expect_distribution(logits, params, distribution(logits, params, &counts), &counts);
}

// Every set of filters keeps exactly the tokens that the plain definition keeps: what can be drawn
// at 4,000 evenly spread positions of a small vocabulary is the support.
TEST(Sampler, CutsAreExactAlsoBetweenEqualLogits) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const size_t n = 1 + static_cast<size_t>(random_uniform(seed, 0, 0) * 40);
    std::vector<float> logits(n);
    for (size_t i = 0; i < n; ++i)  // few distinct values: many ties
      logits[i] = std::floor(static_cast<float>(random_uniform(seed, 1, i)) * 4);
    SamplingParams params;
    params.top_k = static_cast<int32_t>(random_uniform(seed, 2, 0) * static_cast<double>(n + 2));
    // Away from sums of equal weights, where rounding decides.
    params.top_p = seed % 3 == 0 ? 1.0 : 0.05 + 0.9 * random_uniform(seed, 2, 1);
    params.min_p = seed % 2 == 0 ? 0.0 : random_uniform(seed, 2, 2) * 0.5;
    const std::vector<double> expected = distribution(logits, params);
    Sampler sampler(static_cast<int64_t>(n));
    std::vector<TokenLogprob> top;
    std::vector<bool> came(n);
    for (uint64_t i = 0; i < 4000; ++i)
      came[static_cast<size_t>(sampler.sample(logits, params, nullptr, seed, 0, i, top).token)] =
          true;
    for (size_t i = 0; i < n; ++i)
      EXPECT_EQ(came[i], expected[i] > 0) << "seed " << seed << " token " << i << " of " << n;
  }
}

// Wide vocabularies take other roads (blocks, heaps, partitions); compare their support by
// drawing and their log-probabilities with a plain sum.
TEST(Sampler, LargeVocabulary) {
  const size_t n = 20011;
  const std::vector<float> logits = random_logits(n, 21, 3.0f);
  Sampler sampler(static_cast<int64_t>(n));
  std::vector<TokenLogprob> top;
  for (const int32_t k : {1, 7, 1024, 1025, 5000}) {
    SamplingParams params;
    params.temperature = 2.0;
    params.top_k = k;
    params.top_p = k % 2 == 0 ? 0.9 : 1.0;
    const std::vector<double> expected = distribution(logits, params);
    for (uint64_t i = 0; i < 300; ++i) {
      const int32_t token = sampler.sample(logits, params, nullptr, 1, 2, i, top).token;
      ASSERT_GT(expected[static_cast<size_t>(token)], 0) << "top_k " << k;
    }
  }
  double sum = 0;
  for (const float l : logits) sum += std::exp(static_cast<double>(l));
  SamplingParams params;
  params.logprobs = 20;
  params.top_p = 0.5;
  const Sampled s = sampler.sample(logits, params, nullptr, 1, 2, 3, top);
  const auto exact = [&](int32_t id) {
    return static_cast<double>(logits[static_cast<size_t>(id)]) - std::log(sum);
  };
  EXPECT_NEAR(s.logprob, exact(s.token), 2e-6);
  ASSERT_EQ(top.size(), 20u);
  std::vector<float> sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  for (size_t i = 0; i < top.size(); ++i) {
    EXPECT_EQ(logits[static_cast<size_t>(top[i].token)], sorted[i]);
    EXPECT_NEAR(top[i].logprob, exact(top[i].token), 2e-6);
  }
}

TEST(Sampler, GreedyTakesTheLowestIdOfEqualsAndIgnoresTheSeed) {
  std::vector<float> logits(1000, -1.0f);
  logits[700] = logits[333] = logits[999] = 4.0f;
  SamplingParams params;
  params.temperature = 0;
  params.top_k = 3;
  Sampler sampler(1000);
  std::vector<TokenLogprob> top;
  for (uint64_t seed = 0; seed < 5; ++seed)
    EXPECT_EQ(sampler.sample(logits, params, nullptr, seed, 0, 0, top).token, 333);
  params.logit_bias = {{333, -1.0f}};
  EXPECT_EQ(sampler.sample(logits, params, nullptr, 1, 0, 0, top).token, 700);
}

TEST(Sampler, LogprobsAreThoseOfTheModelWhateverTheSettings) {
  const std::vector<float> logits = random_logits(100, 2);
  SamplingParams params;
  params.logprobs = 3;
  params.temperature = 0.01;
  params.logit_bias = {{17, 100.0f}};
  Sampler sampler(100);
  std::vector<TokenLogprob> top, forced_top;
  const Sampled s = sampler.sample(logits, params, nullptr, 1, 0, 0, top);
  EXPECT_EQ(s.token, 17);
  const Sampled forced = sampler.force(logits, params, 17, forced_top);
  EXPECT_EQ(s.logprob, forced.logprob);
  EXPECT_LT(s.logprob, -1.0f);
  EXPECT_EQ(top.size(), 3u);
  EXPECT_EQ(forced_top.size(), 3u);
  params.logprobs = 0;
  sampler.sample(logits, params, nullptr, 1, 0, 0, top);
  EXPECT_TRUE(top.empty());
}

TEST(Sampler, BrokenLogitsAreReported) {
  Sampler sampler(50);
  std::vector<TokenLogprob> top;
  for (const size_t at : {size_t{0}, size_t{16}, size_t{49}}) {
    for (const float bad : {std::nanf(""), infinity}) {
      std::vector<float> logits = random_logits(50, 1);
      logits[at] = bad;
      for (const double temperature : {0.0, 1.0}) {
        SamplingParams params;
        params.temperature = temperature;
        EXPECT_EQ(sampler.sample(logits, params, nullptr, 1, 0, 0, top).status,
                  Sampled::Status::not_finite);
      }
    }
  }
  const std::vector<float> logits = random_logits(50, 1);
  SamplingParams params;
  for (int32_t id = 0; id < 50; ++id) params.logit_bias.emplace_back(id, -infinity);
  EXPECT_EQ(sampler.sample(logits, params, nullptr, 1, 0, 0, top).status,
            Sampled::Status::none_left);
  params.logit_bias.erase(params.logit_bias.begin() + 31);
  EXPECT_EQ(sampler.sample(logits, params, nullptr, 1, 0, 0, top).token, 31);
}

TEST(Sampler, RejectsValuesOutOfRange) {
  const auto rejected = [](void (*change)(SamplingParams&)) {
    EXPECT_THROW(validate(with(change), 10), Error);
  };
  EXPECT_NO_THROW(validate(SamplingParams{}, 10));
  rejected([](SamplingParams& p) { p.temperature = -0.1; });
  rejected([](SamplingParams& p) { p.temperature = std::nan(""); });
  rejected([](SamplingParams& p) { p.top_k = -1; });
  rejected([](SamplingParams& p) { p.top_p = 0; });
  rejected([](SamplingParams& p) { p.top_p = 1.1; });
  rejected([](SamplingParams& p) { p.min_p = 2; });
  rejected([](SamplingParams& p) { p.repetition_penalty = 0; });
  rejected([](SamplingParams& p) { p.frequency_penalty = 2.5; });
  rejected([](SamplingParams& p) { p.presence_penalty = -3; });
  rejected([](SamplingParams& p) { p.logprobs = 65; });
  rejected([](SamplingParams& p) { p.logit_bias = {{10, 1.0f}}; });
  rejected([](SamplingParams& p) { p.logit_bias = {{3, std::nanf("")}}; });
}

}  // namespace
}  // namespace hadal::infer
