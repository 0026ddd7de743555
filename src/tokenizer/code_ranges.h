// Sets of code points as ascending ranges.
#pragma once

#include <algorithm>
#include <array>

namespace hadal::tokenizer {

struct CodeRange {
  char32_t first, last;
};

template <size_t count>
constexpr bool contains(const std::array<CodeRange, count>& ranges, char32_t code) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code,
                                      [](char32_t c, const CodeRange& r) { return c < r.first; });
  return after != ranges.begin() && code <= (after - 1)->last;
}

}  // namespace hadal::tokenizer
