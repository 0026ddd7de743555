// Low-rank adaptation: a frozen matrix W counts as W + scale B A, made anew for products after each
// step. So products are as many as without, and what is learnt is in them exactly as in the model
// that is written in the end; what falls away is the memory of gradients, moments and F32 weights.
#pragma once

#include <cstdint>

#include "train/parameters.h"

namespace hadal::train {

// A row of a matrix [cols] as it counts now, adapters included. On this thread.
void read_row(const Parameter& matrix, int64_t row, float* out);

// A from N(0, 1 / (3 cols)), drawn by seed and name; B 0: the model is as it was.
void initialise_adapters(Parameters& parameters, uint64_t seed);

// Of all frozen weights: adapters are worth nothing beside others. 0 if none are frozen.
uint64_t frozen_hash(const Parameters& parameters);

}  // namespace hadal::train
