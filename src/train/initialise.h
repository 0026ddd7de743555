// The weights that a model starts from.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "train/parameters.h"

namespace hadal::train {

// Norms 1, biases 0; routers N(0, 0.006) as DeepSeek-V3's; matrices N(0, 0.02 sqrt(320 / hidden));
// embeddings N(0, 0.02). What is added to the residual stream (o_proj, down_proj) starts at 0, so
// that every layer begins as the identity. A pure function of the seed and the names.
void initialise(Parameters& parameters, const model::ModelConfig& config, uint64_t seed);

}  // namespace hadal::train
