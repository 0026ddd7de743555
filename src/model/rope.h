// Rotary position embedding: the angles of each pair, with the three ways in which published models
// stretch them (YaRN, Llama 3, explicit factors).
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace hadal::model {

class Rope {
 public:
  // dim: rotated elements of a head, even.
  Rope(const RopeConfig& config, int64_t dim);

  int64_t dim() const { return 2 * static_cast<int64_t>(frequencies_.size()); }
  const std::vector<double>& frequencies() const { return frequencies_; }  // [dim / 2], radians
  // cos, sin of each pair at a position, times the config's magnitude: out [dim].
  void angles(int64_t position, float* out) const;

 private:
  std::vector<double> frequencies_;
  double magnitude_;
};

}  // namespace hadal::model
