#include "model/router.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/exp.h"

namespace hadal::model {
namespace {

// Excluded by its group: below everything, also below scores that are no numbers.
constexpr float excluded = -std::numeric_limits<float>::infinity();

// A strict order needs numbers: whatever hostile weights make of a score, it sorts last.
float orderable(float score) {
  constexpr float lowest = std::numeric_limits<float>::lowest();
  return score >= lowest ? score : lowest;
}

// The indices of the k best scores, best first, in the front of `order`.
void best(std::span<const float> scores, int64_t k, std::vector<int32_t>& order) {
  order.resize(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int32_t a, int32_t b) {
    const float sa = scores[static_cast<size_t>(a)];
    const float sb = scores[static_cast<size_t>(b)];
    return sa > sb || (sa == sb && a < b);
  });
}

float group_score(std::span<const float> scores, GroupScore kind) {
  float first = excluded;
  float second = excluded;
  for (const float score : scores) {
    if (score > first) {
      second = first;
      first = score;
    } else if (score > second) {
      second = score;
    }
  }
  return kind == GroupScore::max || scores.size() < 2 ? first : orderable(first + second);
}

}  // namespace

Router::Router(const ModelConfig& config)
    : config_(config),
      biased_(static_cast<size_t>(config.experts)),
      group_scores_(static_cast<size_t>(config.expert_groups)) {}

void Router::mask_groups() {
  const auto size = static_cast<size_t>(config_.experts / config_.expert_groups);
  for (size_t g = 0; g < group_scores_.size(); ++g)
    group_scores_[g] = group_score(std::span(biased_).subspan(g * size, size), config_.group_score);
  best(group_scores_, config_.expert_groups_used, order_);
  for (auto g = order_.begin() + config_.expert_groups_used; g != order_.end(); ++g)
    std::fill_n(biased_.begin() + static_cast<int64_t>(size) * *g, size, excluded);
}

void Router::choose(const kernels::Table& kernels, float* logits, std::span<const float> bias,
                    int32_t* experts, float* weights) {
  const int64_t k = config_.experts_per_token;
  if (config_.scoring == Scoring::softmax) {
    const float sum = kernels.softmax(logits, config_.experts);
    for (int64_t e = 0; e < config_.experts; ++e) logits[e] /= sum;
  } else {
    for (int64_t e = 0; e < config_.experts; ++e)
      logits[e] = 1.0f / (1.0f + kernels::exp_f32(-logits[e]));
  }
  const float* scores = logits;
  for (size_t e = 0; e < biased_.size(); ++e)
    biased_[e] = orderable(bias.empty() ? scores[e] : scores[e] + bias[e]);
  if (config_.expert_groups_used < config_.expert_groups) mask_groups();
  best(biased_, k, order_);
  std::copy_n(order_.begin(), k, experts);
  std::sort(experts, experts + k);
  float sum = 0.0f;
  for (int64_t i = 0; i < k; ++i) sum += weights[i] = scores[experts[i]];
  // 1e-20 as in the reference: all scores may underflow to zero.
  const float divisor = config_.normalize_expert_weights ? sum + 1e-20f : 1.0f;
  for (int64_t i = 0; i < k; ++i)
    weights[i] = weights[i] / divisor * static_cast<float>(config_.expert_weights_scale);
}

}  // namespace hadal::model
