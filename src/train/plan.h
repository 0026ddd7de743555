// What a run takes, before it begins.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "train/options.h"

namespace hadal::train {

// Per token of forward and backward: six for every parameter of a matrix that a token meets, and
// causal attention over `length` tokens.
// `frozen`: four, since gradients of weights fall away; those of adapters are not counted.
double flops_per_token(const model::ModelConfig& config, int64_t length, bool frozen = false);

struct MemoryPlan {
  int64_t values = 0, gradients = 0, optimizer = 0;  // F32, frozen matrices aside
  int64_t operands = 0;                              // each matrix twice, as products take it
  int64_t trained = 0;                               // elements
  int64_t state() const { return values + gradients + optimizer + operands; }
};
// Without activations, which depend on the rows of a part; `hadal train --plan` measures them.
MemoryPlan plan_memory(const Parameters& parameters, const TrainOptions& options);

// Rows of random tokens, to measure with.
Batch random_batch(const model::ModelConfig& config, int64_t sequences, int64_t length,
                   uint64_t seed);

}  // namespace hadal::train
