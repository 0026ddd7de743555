// Random choices in order, each a pure function of (seed, stream, index) and how many came before.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "base/random.h"

namespace hadal::data {

class Draw {
 public:
  // stream: below 2^24, attempt: below 2^24.
  Draw(uint64_t seed, uint64_t stream, uint64_t index, uint64_t attempt = 0)
      : seed_(seed), index_(index), high_(stream << 40 | attempt << 16) {}

  uint32_t bits() {
    if (next_ % 4 == 0) block_ = philox(seed_, index_, high_ | (next_ / 4 & 0xFFFF));
    return block_[next_++ % 4];
  }
  // 0 .. count - 1
  int64_t below(int64_t count) {
    return static_cast<int64_t>(uint64_t{bits()} * static_cast<uint64_t>(count) >> 32);
  }
  int64_t between(int64_t first, int64_t last) { return first + below(last - first + 1); }
  bool chance(int percent) { return below(100) < percent; }
  template <typename List>
  const auto& pick(const List& list) {
    return list[static_cast<size_t>(below(static_cast<int64_t>(std::size(list))))];
  }

 private:
  uint64_t seed_, index_, high_;
  uint64_t next_ = 0;
  std::array<uint32_t, 4> block_{};
};

}  // namespace hadal::data
