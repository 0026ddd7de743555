// Numbers as decimal digits, and grammars of the numbers between two of them.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "grammar/grammar.h"

namespace hadal::grammar {

struct Decimal {
  bool negative = false;
  std::string whole = "0";  // without zeros in front
  std::string fraction;     // without zeros behind

  // Of JSON's spelling; nothing if it has more than 40 digits on one side of the point.
  static std::optional<Decimal> read(std::string_view text);
  friend std::strong_ordering operator<=>(const Decimal& a, const Decimal& b);
  friend bool operator==(const Decimal& a, const Decimal& b) = default;
};

// Bounds; open: the bound itself is outside.
struct NumberRange {
  std::optional<Decimal> low, high;
  bool low_open = false, high_open = false;
  int digits_max = 20;    // in front of the point, if the bounds need no more
  int fraction_max = 20;  // 0: integers
  bool exponents = true;  // where there are no bounds

  bool bounded() const { return low || high; }
  void raise_low(const Decimal& value, bool open);
  void lower_high(const Decimal& value, bool open);
  bool contains(const Decimal& value) const;
};

// Edges that read such a number without an exponent.
void add_range(GrammarBuilder& builder, StateId from, const NumberRange& range, StateId to);

}  // namespace hadal::grammar
