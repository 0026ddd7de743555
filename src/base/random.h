// Counter-based random numbers (Philox4x32-10, Salmon et al., SC 2011): the value is a pure
// function of key and counter, so a draw keyed by (seed, sequence, position) is the same whatever
// else runs.
#pragma once

#include <array>
#include <cstdint>

namespace hadal {

std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high);

// Uniform in [0, 1), 53 bits, from (seed, stream, index).
double random_uniform(uint64_t seed, uint64_t stream, uint64_t index);

// Standard normal, from (seed, stream, index).
float random_normal(uint64_t seed, uint64_t stream, uint64_t index);

}  // namespace hadal
