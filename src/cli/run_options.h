// The flags of `hadal run`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/disk_cache_option.h"
#include "infer/engine.h"
#include "model/forward.h"

namespace hadal::cli {

struct RunOptions {
  std::string model;                // path or name; "": the bundled model
  std::vector<std::string> prompt;  // words of the command line
  std::string prompt_flag;          // -p
  std::string system;
  // Unset: the model's own defaults (sampling_defaults.h).
  std::optional<double> temperature, top_p, min_p, repeat_penalty;
  std::optional<double> frequency_penalty, presence_penalty;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  int64_t max_tokens = -1;
  int64_t context_tokens = 0;  // 0: what the model was trained for, if memory allows
  std::string think;           // "on", "off", "": the model's default
  int64_t thinking_budget = -1;
  bool hide_thinking = false;
  DiskCacheFlags disk;
  std::optional<quant::Type> cache;           // unset: BF16
  std::optional<model::Precision> precision;  // unset: by the model (sampling_defaults.h)
  int64_t drafts = infer::EngineOptions::drafts_auto;
  std::optional<bool> stats;  // unset: when stderr is a terminal
  bool verbose = false;
};

}  // namespace hadal::cli
