// Which source fills which sequence, and the how-manieth of that source it is. Shares are kept
// exactly over every cycle of slots and as evenly as whole sequences allow within it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace hadal::data {

class Mix {
 public:
  // weights: not negative, one at least positive.
  explicit Mix(const std::vector<double>& weights);

  struct Slot {
    int32_t source = 0;
    int64_t index = 0;  // how many sequences of this source come before
  };
  Slot slot(int64_t sequence) const;
  // How many of the first `sequences` are the source's.
  int64_t count(int64_t sequences, int32_t source) const;

 private:
  std::vector<Slot> slots_;      // of one cycle
  std::vector<int64_t> totals_;  // by source, in one cycle
};

// A permutation of 0 .. count - 1 that needs no memory: a four-round Feistel network keyed by
// (seed, stream) over the next even number of bits, walked until the value is in range.
uint64_t permuted(uint64_t index, uint64_t count, uint64_t seed, uint64_t stream);

}  // namespace hadal::data
