#include "tokenizer/token_table.h"

#include <bit>
#include <cstring>

namespace hadal::tokenizer {
namespace {

// No table of a real vocabulary comes near: at half load the longest run is some dozens.
constexpr int kMostProbes = 1000;

uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

template <typename Word>
uint64_t load(const char* p) {
  Word word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

constexpr uint64_t kSecret0 = 0xA0761D6478BD642F;
constexpr uint64_t kSecret1 = 0xE7037ED1A0B428DB;

}  // namespace

// After wyhash: two overlapping loads cover up to 16 bytes without a loop.
uint64_t TokenTable::hash_bytes(std::string_view bytes) {
  const char* p = bytes.data();
  size_t left = bytes.size();
  uint64_t state = kSecret0 ^ left;
  for (; left > 16; left -= 16, p += 16) {
    state = mix(load<uint64_t>(p) ^ kSecret1, load<uint64_t>(p + 8) ^ state);
  }
  uint64_t a = 0;
  uint64_t b = 0;
  if (left >= 8) {
    a = load<uint64_t>(p);
    b = load<uint64_t>(p + left - 8);
  } else if (left >= 4) {
    a = load<uint32_t>(p);
    b = load<uint32_t>(p + left - 4);
  } else if (left > 0) {
    const auto at = [p](size_t i) {
      return static_cast<uint64_t>(static_cast<unsigned char>(p[i]));
    };
    a = at(0) << 16 | at(left / 2) << 8 | at(left - 1);
  }
  return mix(kSecret1 ^ left, mix(a ^ kSecret1, b ^ state));
}

void TokenTable::append(std::string_view bytes) {
  arena_ += bytes;
  ends_.push_back(static_cast<uint32_t>(arena_.size()));
}

void TokenTable::start_index(size_t count) {
  slots_.assign(std::bit_ceil(2 * count + 1), Slot{});
  mask_ = slots_.size() - 1;
}

TokenTable::Inserted TokenTable::insert(int32_t id) {
  const std::string_view wanted = bytes(id);
  const uint64_t hash = hash_bytes(wanted);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  size_t at = hash & mask_;
  for (int probe = 0; probe < kMostProbes; ++probe, at = (at + 1) & mask_) {
    if (slots_[at].id < 0) {
      slots_[at] = {tag, id};
      return Inserted::yes;
    }
    if (slots_[at].tag == tag && bytes(slots_[at].id) == wanted) {
      return Inserted::duplicate;
    }
  }
  return Inserted::collisions;
}

}  // namespace hadal::tokenizer
