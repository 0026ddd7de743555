// Text that a model in training writes, to see what it has learnt.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/thread_pool.h"

namespace hadal::cli {

struct SampleSettings {
  const std::vector<std::string>& prompts;
  int64_t tokens;
  double temperature;
};

// Continues each prompt by the model in a folder, special tokens in prompts recognised and shown.
// Nothing without prompts or tokenizer.
std::vector<std::string> sample_text(const std::string& folder, const SampleSettings& settings,
                                     ThreadPool& pool);

}  // namespace hadal::cli
