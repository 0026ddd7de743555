#include "data/mix.h"

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace hadal::data {
namespace {

// Shares are rounded to 1/4096.
constexpr int64_t kCycle = 4096;

// Whole numbers in proportion to the weights that sum to kCycle: largest remainders get one more.
std::vector<int64_t> apportion(const std::vector<double>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int64_t> totals;
  std::vector<std::pair<double, size_t>> rests;
  int64_t given = 0;
  for (size_t s = 0; s < weights.size(); ++s) {
    const double exact = weights[s] / sum * static_cast<double>(kCycle);
    // A source that is wished for at all comes at least once.
    totals.push_back(std::max<int64_t>(static_cast<int64_t>(exact), weights[s] > 0 ? 1 : 0));
    rests.emplace_back(exact - static_cast<double>(totals.back()), s);
    given += totals.back();
  }
  std::stable_sort(rests.begin(), rests.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (size_t i = 0; given < kCycle; i = (i + 1) % rests.size(), ++given) {
    ++totals[rests[i].second];
  }
  while (given > kCycle) {  // many sources of tiny weight: the largest pays
    --*std::max_element(totals.begin(), totals.end());
    --given;
  }
  return totals;
}

}  // namespace

Mix::Mix(const std::vector<double>& weights) : totals_(apportion(weights)) {
  // Each slot goes to the source that lags most behind its share.
  std::vector<int64_t> given(weights.size(), 0);
  slots_.reserve(kCycle);
  for (int64_t i = 0; i < kCycle; ++i) {
    int32_t chosen = 0;
    int64_t most = INT64_MIN;
    for (size_t s = 0; s < weights.size(); ++s) {
      const int64_t lag = totals_[s] * (i + 1) - given[s] * kCycle;
      if (totals_[s] > given[s] && lag > most) {
        most = lag;
        chosen = static_cast<int32_t>(s);
      }
    }
    slots_.push_back({chosen, given[static_cast<size_t>(chosen)]++});
  }
}

Mix::Slot Mix::slot(int64_t sequence) const {
  const Slot& slot = slots_[static_cast<size_t>(sequence % kCycle)];
  return {slot.source, sequence / kCycle * totals_[static_cast<size_t>(slot.source)] + slot.index};
}

int64_t Mix::count(int64_t sequences, int32_t source) const {
  const auto rest = static_cast<size_t>(sequences % kCycle);
  int64_t count = sequences / kCycle * totals_[static_cast<size_t>(source)];
  for (size_t i = 0; i < rest; ++i) count += slots_[i].source == source ? 1 : 0;
  return count;
}

uint64_t permuted(uint64_t index, uint64_t count, uint64_t seed, uint64_t stream) {
  int half = 1;
  while (half < 32 && (uint64_t{1} << (2 * half)) < count) ++half;
  const uint64_t mask = (uint64_t{1} << half) - 1;
  uint64_t value = index;
  do {
    uint64_t left = value >> half, right = value & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t mixed = left ^ (philox(seed, right, stream << 2 | round)[0] & mask);
      left = right;
      right = mixed;
    }
    value = left << half | right;
  } while (value >= count);
  return value;
}

}  // namespace hadal::data
