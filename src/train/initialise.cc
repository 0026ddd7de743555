#include "train/initialise.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "train/optimizer.h"

namespace hadal::train {
namespace {

float deviation(const Parameter& p, const model::ModelConfig& config) {
  switch (kind_of(p)) {
    case Kind::router:
      return 0.006f;
    case Kind::embedding:
      return 0.02f;
    case Kind::matrix:
      if (p.name.ends_with("o_proj.weight") || p.name.ends_with("down_proj.weight")) return 0.0f;
      return 0.02f * std::sqrt(320.0f / static_cast<float>(config.hidden_size));
    case Kind::vector:
      break;
  }
  return 0.0f;
}

// FNV-1a: a number for each name, so that a model with one layer more has the same other ones.
uint64_t stream_of(const std::string& name) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

}  // namespace

void initialise(Parameters& parameters, const model::ModelConfig& config, uint64_t seed) {
  for (Parameter& p : parameters.list()) {
    if (kind_of(p) == Kind::vector) {
      std::fill_n(p.value, p.size(), p.name.ends_with("norm.weight") ? 1.0f : 0.0f);
      continue;
    }
    const float scale = deviation(p, config);
    const uint64_t stream = stream_of(p.name);
    for (int64_t i = 0; i < p.size(); ++i)
      p.value[i] = scale > 0 ? scale * random_normal(seed, stream, static_cast<uint64_t>(i)) : 0.0f;
  }
}

}  // namespace hadal::train
