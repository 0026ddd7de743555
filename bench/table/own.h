// Hadal's own side of a row, by its commands: `hadal bench`, `hadal run`.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "work.h"

namespace hadal::bench {

struct OwnSamples {
  // tokens/s; seconds for first_token, bytes for memory, shares for disturbed.
  std::vector<double> samples;
  // What the machine allows, from limits measured in the same run: tokens/s, and which limit it is
  // ("read 34.0 GB/s"). Seconds of the prompt alone for first_token. 0 where there is none.
  double ceiling = 0.0;
  std::string limit;
  nlohmann::json machine;  // as `hadal bench` describes it
  std::string kernels;
  std::string error;  // why there are no samples
};

struct OwnOptions {
  std::string program;  // the hadal to measure
  std::string folder;   // of the model files
  int repetitions = 5;
  int threads = 0;  // 0: one per core
};

OwnSamples measure_own(const Work& work, const OwnOptions& options);

// The ceiling of a row of `hadal bench`: operations against the best rate of the products that the
// processor has for such weights; for generation the lower of that and bytes against the read rate.
struct Ceiling {
  double tokens_per_second = 0.0;
  std::string limit;
};
Ceiling ceiling_of(Kind kind, const nlohmann::json& row, const nlohmann::json& machine,
                   bool integer);

// Writes the model file of a row by `hadal synth` if it is missing; the error, or "".
std::string make_model(const Work& work, const OwnOptions& options);

}  // namespace hadal::bench
