#pragma once

#include <algorithm>
#include <vector>

namespace hadal::bench {

// 0 for none.
inline double median(std::vector<double> samples) {
  if (samples.empty()) return 0.0;
  std::sort(samples.begin(), samples.end());
  const size_t half = samples.size() / 2;
  return samples.size() % 2 == 1 ? samples[half] : (samples[half - 1] + samples[half]) / 2.0;
}

}  // namespace hadal::bench
