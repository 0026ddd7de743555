// The bytes of all tokens by id, and the ids of ordinary tokens by their bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::tokenizer {

class TokenTable {
 public:
  // Bytes of the next id.
  void append(std::string_view bytes);
  size_t size() const { return ends_.size(); }
  std::string_view bytes(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    const uint32_t begin = i == 0 ? 0 : ends_[i - 1];
    return {arena_.data() + begin, ends_[i] - begin};
  }

  // Prepares for `count` calls of insert, after all of append.
  void start_index(size_t count);
  enum class Inserted { yes, duplicate, collisions };
  // Makes `id` findable by its bytes. `collisions`: so many tokens share a hash that the
  // vocabulary can only have been made for it.
  Inserted insert(int32_t id);
  // The id of an inserted token with these bytes, or -1.
  int32_t find(std::string_view bytes) const {
    const uint64_t hash = hash_bytes(bytes);
    const auto tag = static_cast<uint32_t>(hash >> 32);
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.id < 0 || (slot.tag == tag && this->bytes(slot.id) == bytes)) {
        return slot.id;
      }
    }
  }

 private:
  struct Slot {
    uint32_t tag = 0;
    int32_t id = -1;
  };
  static uint64_t hash_bytes(std::string_view bytes);

  std::string arena_;
  std::vector<uint32_t> ends_;
  std::vector<Slot> slots_ = std::vector<Slot>(1);
  size_t mask_ = 0;
};

}  // namespace hadal::tokenizer
