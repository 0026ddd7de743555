// Byte-pair merges: within a piece the adjacent pair of lowest rank is merged, the leftmost first,
// until no pair of the table is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hadal::tokenizer {

class MergeTable {
 public:
  struct Entry {
    uint64_t pair = kEmpty;  // left id, right id
    uint32_t rank = kNone;
    int32_t id = -1;  // what the pair becomes
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  // Prepares for `count` merges.
  void start(size_t count);
  enum class Added { yes, duplicate, collisions };
  Added add(int32_t left, int32_t right, uint32_t rank, int32_t id);

  // The merge of two neighbours; rank is kNone if there is none.
  Entry find(int32_t left, int32_t right) const {
    const uint64_t pair = key(left, right);
    for (size_t at = slot(pair);; at = (at + 1) & mask_) {
      const Entry& entry = entries_[at];
      if (entry.pair == pair || entry.pair == kEmpty) {
        return entry;
      }
    }
  }

  // Merges `symbols` in place. Quadratic work only on short pieces: long ones use a heap.
  void apply(std::vector<int32_t>& symbols) const;

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  // Fibonacci hashing of both halves; the upper bits of the product are the well-mixed ones.
  size_t slot(uint64_t pair) const {
    return static_cast<size_t>(((pair ^ pair >> 29) * 0x9E3779B97F4A7C15) >> shift_);
  }
  void apply_short(std::vector<int32_t>& symbols) const;
  void apply_long(std::vector<int32_t>& symbols) const;

  std::vector<Entry> entries_ = std::vector<Entry>(2);
  size_t mask_ = 1;
  int shift_ = 63;
};

}  // namespace hadal::tokenizer
