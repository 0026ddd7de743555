#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hadal::model {
namespace {

// YaRN (Peng et al., arXiv 2309.00071) as DeepSeek's code has it: pairs that turn often within the
// original context keep their frequency, slow ones are divided by the factor, a ramp between.
// Always applied, for short prompts too: the weights were trained with it.
void apply_yarn(const RopeConfig& c, int64_t dim, std::vector<double>& frequencies) {
  const auto d = static_cast<double>(dim);
  const auto pair_of_turns = [&](double turns) {
    const double context = static_cast<double>(c.original_context);
    return d * std::log(context / (turns * 2.0 * std::numbers::pi)) / (2.0 * std::log(c.theta));
  };
  const double low = std::max(std::floor(pair_of_turns(c.beta_fast)), 0.0);
  double high = std::min(std::ceil(pair_of_turns(c.beta_slow)), d - 1.0);
  if (low == high) high += 0.001;
  for (size_t k = 0; k < frequencies.size(); ++k) {
    const double ramp = std::clamp((static_cast<double>(k) - low) / (high - low), 0.0, 1.0);
    frequencies[k] = frequencies[k] / c.factor * ramp + frequencies[k] * (1.0 - ramp);
  }
}

// Llama 3.1: by wavelength, long ones divided by the factor, short ones kept, a ramp between.
void apply_llama3(const RopeConfig& c, std::vector<double>& frequencies) {
  const auto context = static_cast<double>(c.original_context);
  for (double& frequency : frequencies) {
    const double wavelength = 2.0 * std::numbers::pi / frequency;
    if (wavelength < context / c.high_freq_factor) continue;
    if (wavelength > context / c.low_freq_factor) {
      frequency /= c.factor;
      continue;
    }
    const double smooth =
        (context / wavelength - c.low_freq_factor) / (c.high_freq_factor - c.low_freq_factor);
    frequency = (1.0 - smooth) * frequency / c.factor + smooth * frequency;
  }
}

}  // namespace

Rope::Rope(const RopeConfig& config, int64_t dim)
    : frequencies_(static_cast<size_t>(dim / 2)), magnitude_(config.magnitude) {
  for (size_t k = 0; k < frequencies_.size(); ++k)
    frequencies_[k] =
        std::pow(config.theta, -2.0 * static_cast<double>(k) / static_cast<double>(dim));
  if (config.scaling == RopeScaling::yarn) apply_yarn(config, dim, frequencies_);
  if (config.scaling == RopeScaling::llama3) apply_llama3(config, frequencies_);
  if (config.scaling == RopeScaling::factors)
    for (size_t k = 0; k < frequencies_.size(); ++k)
      frequencies_[k] /= static_cast<double>(config.factors[k]);
}

void Rope::angles(int64_t position, float* out) const {
  for (size_t k = 0; k < frequencies_.size(); ++k) {
    const double angle = static_cast<double>(position) * frequencies_[k];
    out[2 * k] = static_cast<float>(std::cos(angle) * magnitude_);
    out[2 * k + 1] = static_cast<float>(std::sin(angle) * magnitude_);
  }
}

}  // namespace hadal::model
