// What can be refused, and sized, before anything is computed.
#pragma once

#include <cstdint>

#include "infer/engine.h"

namespace hadal::infer {

struct EngineSizes {
  int64_t context;  // tokens of one sequence
  int64_t pages;    // of the cache
};

// Throws Error(usage) for options out of range, Error(limit) for a context beyond the model's.
EngineSizes choose_sizes(const model::ModelConfig& config, const EngineOptions& options);

// Throws as Engine::submit.
void check_request(const Request& request, const LoadedModel& model, int64_t context);

}  // namespace hadal::infer
