// The file that describes a run of training: TOML with the keys of docs/train.md.
#pragma once

#include <string>
#include <vector>

#include "train/options.h"

namespace hadal::cli {

struct TrainSettings {
  train::TrainOptions train;
  std::string out;                       // the run's folder
  std::string config, start, tokenizer;  // config.json, or a checkpoint to start from; a folder
  std::vector<std::string> prompts;      // continued at each checkpoint
  int64_t sample_tokens = 64;
  double temperature = 0;
  double price_per_hour = 0;  // of the machine, in whatever currency
  bool measure = true;        // the machine's peak, to state speeds as shares of it
};

// Reads the file ("": none), then `changes` ("data.length=256"). Paths in the file are relative to
// its folder, those in changes to the working directory. Throws Error(usage | file) naming file,
// line and key.
TrainSettings read_train_settings(const std::string& path, const std::vector<std::string>& changes);

// "2h", "90m", "1h30m", "45s" in seconds. Throws Error(usage) naming `origin`.
double parse_duration(const std::string& text, const std::string& origin);

}  // namespace hadal::cli
