// The choice of experts (DeepSeekMoE): V2's softmax with plain or group-limited choice, and V3's
// sigmoid with a correction bias that steers the choice and never the weights.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "model/config.h"

namespace hadal::model {

class Router {
 public:
  explicit Router(const ModelConfig& config);

  // logits [experts] of one token, overwritten; bias [experts] or empty. experts [k] ascending and
  // weights [k] in the same order, scale included. Scores that are no numbers lose against all
  // others; equal ones: the lower index wins. Each thread needs its own Router.
  void choose(const kernels::Table& kernels, float* logits, std::span<const float> bias,
              int32_t* experts, float* weights);

 private:
  void mask_groups();

  const ModelConfig& config_;
  std::vector<float> biased_;        // [experts]: what the choice goes by
  std::vector<float> group_scores_;  // [groups]
  std::vector<int32_t> order_;       // expert or group indices, best first
};

}  // namespace hadal::model
