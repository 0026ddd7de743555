#include "grammar/char_set.h"

#include <algorithm>

namespace hadal::grammar {
namespace {

// Edges for all sequences of n bytes between low and high, in the order of UTF-8, which is that of
// code points. low and high begin alike or span whole blocks, as they are split here.
void add_sequences(GrammarBuilder& builder, StateId from, const std::string& low,
                   const std::string& high, StateId to) {
  const auto first = static_cast<uint8_t>(low[0]), last = static_cast<uint8_t>(high[0]);
  if (low.size() == 1) {
    builder.byte(from, first, last, to);
    return;
  }
  const std::string least(low.size() - 1, '\x80'), most(low.size() - 1, '\xBF');
  const std::string low_rest = low.substr(1), high_rest = high.substr(1);
  const auto part = [&](uint8_t a, uint8_t b, const std::string& x, const std::string& y) {
    const StateId middle = builder.add_state();
    builder.byte(from, a, b, middle);
    add_sequences(builder, middle, x, y, to);
  };
  if (first == last) return part(first, last, low_rest, high_rest);
  uint8_t begin = first, end = last;
  if (low_rest != least) {
    part(first, first, low_rest, most);
    ++begin;
  }
  if (high_rest != most) {
    part(last, last, least, high_rest);
    --end;
  }
  if (begin <= end) part(begin, end, least, most);
}

}  // namespace

void CharSet::add(uint32_t low, uint32_t high) {
  const auto begin =
      std::lower_bound(ranges_.begin(), ranges_.end(), low,
                       [](const Range& range, uint32_t value) { return range.high + 1 < value; });
  auto end = begin;
  for (; end != ranges_.end() && end->low <= high + 1; ++end) {
    low = std::min(low, end->low);
    high = std::max(high, end->high);
  }
  ranges_.insert(ranges_.erase(begin, end), {low, high});
}

void CharSet::add(const CharSet& other) {
  for (const Range& range : other.ranges_) add(range.low, range.high);
}

CharSet CharSet::complement() const {
  CharSet out;
  uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.low > next) out.ranges_.push_back({next, range.low - 1});
    next = range.high + 1;
  }
  if (next <= code_point_max) out.ranges_.push_back({next, code_point_max});
  return out;
}

CharSet CharSet::intersection(const CharSet& other) const {
  CharSet out;
  for (const Range& a : ranges_)
    for (const Range& b : other.ranges_)
      if (std::max(a.low, b.low) <= std::min(a.high, b.high))
        out.add(std::max(a.low, b.low), std::min(a.high, b.high));
  return out;
}

bool CharSet::contains(uint32_t code_point) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
    return range.low <= code_point && code_point <= range.high;
  });
}

void add_chars(GrammarBuilder& builder, StateId from, const CharSet& set, StateId to) {
  // Code points of one length each, without the surrogates.
  static const CharSet::Range lengths[] = {
      {0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, code_point_max}};
  for (const CharSet::Range& range : set.ranges())
    for (const CharSet::Range& length : lengths) {
      const uint32_t low = std::max(range.low, length.low);
      const uint32_t high = std::min(range.high, length.high);
      if (low <= high) add_sequences(builder, from, utf8_of(low), utf8_of(high), to);
    }
}

std::optional<uint32_t> next_char(std::string_view text, size_t& at) {
  if (at >= text.size()) return std::nullopt;
  const auto first = static_cast<uint8_t>(text[at]);
  const int more = first < 0x80   ? 0
                   : first < 0xC2 ? -1
                   : first < 0xE0 ? 1
                   : first < 0xF0 ? 2
                   : first < 0xF5 ? 3
                                  : -1;
  if (more < 0 || text.size() - at <= static_cast<size_t>(more)) return std::nullopt;
  uint32_t value = more == 0 ? first : first & (0x3Fu >> more);
  for (int i = 1; i <= more; ++i) {
    const auto next = static_cast<uint8_t>(text[at + static_cast<size_t>(i)]);
    if ((next & 0xC0) != 0x80) return std::nullopt;
    value = value << 6 | (next & 0x3F);
  }
  const bool overlong = (more == 2 && value < 0x800) || (more == 3 && value < 0x10000);
  if (overlong || value > code_point_max || (value >= 0xD800 && value <= 0xDFFF))
    return std::nullopt;
  at += static_cast<size_t>(more) + 1;
  return value;
}

std::string utf8_of(uint32_t c) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

}  // namespace hadal::grammar
