// Sets of Unicode code points, and their UTF-8 as edges of a grammar.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar.h"

namespace hadal::grammar {

constexpr uint32_t code_point_max = 0x10FFFF;

class CharSet {
 public:
  struct Range {
    uint32_t low, high;
  };
  CharSet() = default;
  CharSet(std::initializer_list<Range> ranges) {
    for (const Range& range : ranges) add(range.low, range.high);
  }
  static CharSet all() { return {{0, code_point_max}}; }

  void add(uint32_t low, uint32_t high);
  void add(const CharSet& other);
  CharSet complement() const;
  CharSet intersection(const CharSet& other) const;
  bool contains(uint32_t code_point) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<Range>& ranges() const { return ranges_; }  // ascending, apart

 private:
  std::vector<Range> ranges_;
};

// Adds edges that read one character of the set as UTF-8. Surrogates have none.
void add_chars(GrammarBuilder& builder, StateId from, const CharSet& set, StateId to);

std::string utf8_of(uint32_t code_point);
// The character at text[at], and moves behind it. Nothing where there is none, or no valid UTF-8.
std::optional<uint32_t> next_char(std::string_view text, size_t& at);

}  // namespace hadal::grammar
