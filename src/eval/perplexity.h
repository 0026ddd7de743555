// How well a model predicts a text, and how far two models' predictions are apart.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/thread_pool.h"
#include "model/forward.h"

namespace hadal::eval {

// Called now and then with the tokens done and to do; may throw to stop.
using Progress = std::function<void(int64_t done, int64_t total)>;

struct PerplexityOptions {
  // Predictions in a window; each window begins with an empty context.
  int64_t window = 512;
  // With a begin token (>= 0) in front of each window every token is predicted; without, each
  // window's tokens predict the next one, and the text's first token is given.
  int32_t bos = -1;
  model::Precision precision = model::Precision::native;
  std::optional<quant::Type> cache;  // unset: the precision's own
};

struct Perplexity {
  int64_t tokens = 0;  // predicted
  double nll = 0.0;    // sum of negative natural logarithms
  double value() const;
  // Of the per-token losses: standard error of the mean, to put an interval around the value.
  double standard_error = 0.0;
};

// tokens: ids in [0, vocab) (checked: Error(format)). Throws Error(limit) if the window does not
// fit the model's context.
Perplexity perplexity(const model::Model& model, std::span<const int32_t> tokens,
                      const PerplexityOptions& options, ThreadPool& pool,
                      const Progress& progress = {});

struct Divergence {
  Perplexity reference, model;
  double mean_kl = 0.0;          // KL(reference || model), nats per token
  double same_best_share = 0.0;  // of positions where both like the same token best
};

// Both models read the same tokens; they must share a vocabulary size (Error(usage) otherwise).
Divergence divergence(const model::Model& reference, const model::Model& model,
                      std::span<const int32_t> tokens, const PerplexityOptions& options,
                      ThreadPool& pool, const Progress& progress = {});

}  // namespace hadal::eval
