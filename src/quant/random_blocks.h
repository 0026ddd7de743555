// Random weights made directly in a number format: valid blocks with random levels, at the speed of
// the random numbers, where encoding random floats would take a thousand times as long.
#pragma once

#include <cstdint>

#include "quant/type.h"

namespace hadal::quant {

// Whether random_row can make this type: those that mixtures choose.
bool can_randomize(Type type);

// n weights (whole blocks) of mean 0 and about the given standard deviation, a pure function of
// the seed. deviation is such that it is a normal F16 when divided by 5000. FP8 has its scales
// elsewhere: its codes have the deviation fp8_deviation, whatever is asked for.
inline constexpr float fp8_deviation = 13.5f;
void random_row(Type type, float deviation, uint64_t seed, void* blocks, int64_t n);

}  // namespace hadal::quant
