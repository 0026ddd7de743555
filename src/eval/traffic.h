// What a step of a model must move and compute at the least: the bytes of weights and cache that it
// reads, the multiplications and additions that it does. Speeds are stated against these.
#pragma once

#include <cstdint>
#include <span>

#include "model/weights.h"

namespace hadal::eval {

struct Traffic {
  double bytes = 0.0;
  double operations = 0.0;  // a fused multiply and add counts two
};

// `rows` tokens in one forward call, each attending to `depth` positions on average; logits for
// `logits_rows` of them. distinct_experts: routed experts that the call touches, by layer (as a
// trace of such a call shows). absorbed: MLA as generation does it.
Traffic step_traffic(const model::Model& model, int64_t rows, int64_t logits_rows, double depth,
                     std::span<const int64_t> distinct_experts, bool absorbed, int64_t entry_bytes);

}  // namespace hadal::eval
