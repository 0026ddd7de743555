// Losses and gradients of a checkpoint, to compare implementations: what is predicted, and what
// the loss is made of.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "train/network.h"

namespace hadal::train {

// Whether this model can be trained, or why not: throws Error(unsupported).
void check_trainable(const model::ModelConfig& config, const std::string& path);

// V3's loss for models with an MTP layer: cross-entropy + 0.3 MTP + 0.01 balance. The plain
// cross-entropy for all others.
LossWeights comparison_weights(const model::ModelConfig& config);

// ids [sequences, T]: each token but a sequence's last predicts the next. Throws Error(format),
// naming `source`, if an id lies outside of the vocabulary or T < 2.
Batch next_token_batch(std::span<const int64_t> ids, int64_t sequences, int64_t vocab,
                       const std::string& source);

}  // namespace hadal::train
