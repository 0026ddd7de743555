#include "grammar/decimal.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

namespace hadal::grammar {
namespace {

constexpr int64_t side_max = 40;  // digits

std::strong_ordering compare_magnitudes(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() <=> b.whole.size();
  if (a.whole != b.whole) return a.whole.compare(b.whole) <=> 0;
  return a.fraction.compare(b.fraction) <=> 0;
}

// The numbers without sign between two bounds, digit by digit. While what was read is the bound's
// own beginning, the bound decides about the next digit: at_low and at_high say so.
class Magnitudes {
 public:
  Magnitudes(GrammarBuilder& builder, const NumberRange& range, StateId to)
      : builder_(builder), range_(range), to_(to) {}

  void add(StateId from) {
    size_t digits = static_cast<size_t>(range_.digits_max);
    if (range_.low) digits = std::max(digits, range_.low->whole.size());
    if (range_.high) digits = range_.high->whole.size();
    const size_t least = range_.low ? range_.low->whole.size() : 1;
    for (size_t n = least; n <= digits; ++n)
      builder_.empty(from, whole(n, 0, range_.low && range_.low->whole.size() == n,
                                 range_.high && range_.high->whole.size() == n));
  }

 private:
  // Read: `at` of n digits in front of the point.
  StateId whole(size_t n, size_t at, bool at_low, bool at_high) {
    const auto [place, is_new] = states_.try_emplace({n, at, at_low, at_high}, 0);
    if (!is_new) return place->second;
    const StateId state = place->second = builder_.add_state();
    if (at == n) {
      end(state, 0, at_low, at_high);
      if (range_.fraction_max > 0) {
        const StateId point = builder_.add_state();
        builder_.byte(state, '.', '.', point);
        builder_.empty(point, fraction(0, at_low, at_high));
      }
      return state;
    }
    const char least = at == 0 && n > 1 ? '1' : '0';
    digits(state, least, at_low ? range_.low->whole[at] : least,
           at_high ? range_.high->whole[at] : '9', at_low, at_high,
           [&](bool low, bool high) { return whole(n, at + 1, low, high); });
    return state;
  }

  // Read: `at` digits behind the point.
  StateId fraction(size_t at, bool at_low, bool at_high) {
    const auto [place, is_new] = states_.try_emplace({0, at, at_low, at_high}, 0);
    if (!is_new) return place->second;
    const StateId state = place->second = builder_.add_state();
    if (at > 0) end(state, at, at_low, at_high);
    if (at >= static_cast<size_t>(range_.fraction_max)) return state;
    const auto digit_of = [&](const Decimal& d) {
      return at < d.fraction.size() ? d.fraction[at] : '0';
    };
    digits(state, '0', at_low ? digit_of(*range_.low) : '0', at_high ? digit_of(*range_.high) : '9',
           at_low, at_high, [&](bool low, bool high) { return fraction(at + 1, low, high); });
    return state;
  }

  template <typename F>
  void digits(StateId from, char least, char low, char high, bool at_low, bool at_high, F next) {
    for (char c = std::max(low, least); c <= high;) {
      const bool is_low = at_low && c == low, is_high = at_high && c == high;
      char last = c;
      if (!is_low && !is_high) last = at_high ? static_cast<char>(high - 1) : high;
      builder_.byte(from, static_cast<uint8_t>(c), static_cast<uint8_t>(last),
                    next(is_low, is_high));
      c = static_cast<char>(last + 1);
    }
  }

  // The number may end with `at` digits behind the point.
  void end(StateId state, size_t at, bool at_low, bool at_high) {
    if (at_low && (range_.low->fraction.size() > at || range_.low_open)) return;
    if (at_high && range_.high->fraction.size() <= at && range_.high_open) return;
    builder_.empty(state, to_);
  }

  GrammarBuilder& builder_;
  const NumberRange& range_;
  const StateId to_;
  std::map<std::tuple<size_t, size_t, bool, bool>, StateId> states_;  // n 0: behind the point
};

}  // namespace

std::optional<Decimal> Decimal::read(std::string_view text) {
  Decimal out;
  if (text.starts_with('-')) {
    out.negative = true;
    text.remove_prefix(1);
  }
  int64_t exponent = 0;
  if (const size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view digits = text.substr(e + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const char* const begin = digits.data();
    const char* const end = begin + digits.size();
    if (std::from_chars(begin, end, exponent).ptr != end) return std::nullopt;
    text = text.substr(0, e);
  }
  const size_t point = std::min(text.find('.'), text.size());
  std::string digits(text.substr(0, point));
  int64_t before = static_cast<int64_t>(point) + exponent;  // digits in front of the point
  if (point < text.size()) digits += text.substr(point + 1);
  const size_t first = std::min(digits.find_first_not_of('0'), digits.size());
  digits.erase(0, first);
  before -= static_cast<int64_t>(first);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.empty()) return Decimal{};
  const int64_t behind = static_cast<int64_t>(digits.size()) - before;
  if (before > side_max || behind > side_max) return std::nullopt;
  if (before <= 0) {
    out.fraction = std::string(static_cast<size_t>(-before), '0') + digits;
  } else if (behind <= 0) {
    out.whole = digits + std::string(static_cast<size_t>(-behind), '0');
  } else {
    out.whole = digits.substr(0, static_cast<size_t>(before));
    out.fraction = digits.substr(static_cast<size_t>(before));
  }
  return out;
}

std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative)
    return a.negative ? std::strong_ordering::less : std::strong_ordering::greater;
  return a.negative ? compare_magnitudes(b, a) : compare_magnitudes(a, b);
}

void NumberRange::raise_low(const Decimal& value, bool open) {
  if (low && (*low > value || (*low == value && low_open))) return;
  low = value;
  low_open = open;
}

void NumberRange::lower_high(const Decimal& value, bool open) {
  if (high && (*high < value || (*high == value && high_open))) return;
  high = value;
  high_open = open;
}

bool NumberRange::contains(const Decimal& value) const {
  if (low && (value < *low || (low_open && value == *low))) return false;
  if (high && (value > *high || (high_open && value == *high))) return false;
  return static_cast<int64_t>(value.fraction.size()) <= fraction_max;
}

void add_range(GrammarBuilder& builder, StateId from, const NumberRange& range, StateId to) {
  const Decimal zero;
  const auto magnitude = [](Decimal d) {
    d.negative = false;
    return d;
  };
  if (!range.high || !range.high->negative) {
    NumberRange positive = range;
    if (range.low && range.low->negative) {
      positive.low.reset();
      positive.low_open = false;
    }
    Magnitudes(builder, positive, to).add(from);
  }
  if (range.low && !range.low->negative) return;
  NumberRange negative = range;
  negative.low = range.high && range.high->negative ? magnitude(*range.high) : zero;
  negative.low_open = range.high && range.high->negative ? range.high_open : true;
  negative.high.reset();
  negative.high_open = range.low_open;
  if (range.low) negative.high = magnitude(*range.low);
  const StateId sign = builder.add_state();
  builder.byte(from, '-', '-', sign);
  Magnitudes(builder, negative, to).add(sign);
}

}  // namespace hadal::grammar
