#include "data/arithmetic_trace.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace hadal::data {
namespace {

using Digits = std::vector<int>;  // lowest first

Digits digits_of(int64_t number, size_t at_least = 1) {
  Digits digits;
  for (; number > 0; number /= 10) digits.push_back(static_cast<int>(number % 10));
  while (digits.size() < at_least) digits.push_back(0);
  return digits;
}

char upper(size_t place) {
  return static_cast<char>('A' + place);
}
char lower(size_t place) {
  return static_cast<char>('a' + place);
}

std::string labelled(const Digits& digits, char first) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    out += static_cast<char>(first + static_cast<char>(i));
    out += static_cast<char>('0' + digits[i]);
  }
  return out;
}

std::string labelled_down(const Digits& digits, char first) {
  std::string out;
  for (size_t i = digits.size(); i-- > 0;) {
    out += static_cast<char>(first + static_cast<char>(i));
    out += static_cast<char>('0' + digits[i]);
  }
  return out;
}

// Lines, one of them perhaps wrong first.
class Steps {
 public:
  explicit Steps(Slip slip) : slip_(slip) {}
  void line(const std::string& text) { text_ += text + "\n"; }
  // A step whose last character is a digit, which is what a slip gets wrong.
  void step(std::string text) {
    if (count_++ == slip_.at) {
      std::string wrong = text;
      wrong.back() = wrong.back() == '9' ? '0' : static_cast<char>(wrong.back() + 1);
      line(wrong + " no");
    }
    line(text);
  }
  std::string finish(const std::string& last) { return text_ + last; }

 private:
  Slip slip_;
  int count_ = 0;
  std::string text_;
};

// Both numbers equally long.
struct Both {
  Digits a, b;
  Both(int64_t x, int64_t y) {
    const auto length = static_cast<size_t>(std::max(digit_count(x), digit_count(y)));
    a = digits_of(x, length);
    b = digits_of(y, length);
  }
  std::string copy() const { return labelled(a, 'A') + " " + labelled(b, 'a'); }
};

void compare_lines(const Both& both, Steps& steps) {
  for (size_t i = both.a.size(); i-- > 0;) {
    const int x = both.a[i], y = both.b[i];
    steps.line(fmt::format("{}{}{}{}", upper(i), x, x > y ? '>' : x < y ? '<' : '=', y));
    if (x != y) return;
  }
}

}  // namespace

int digit_count(int64_t number) {
  return static_cast<int>(digits_of(number).size());
}

std::string compare_trace(int64_t a, int64_t b) {
  const Both both(a, b);
  Steps steps({});
  steps.line(both.copy());
  compare_lines(both, steps);
  std::string text = steps.finish("");
  text.pop_back();  // the line feed
  return text;
}

std::string add_trace(int64_t a, int64_t b, Slip slip) {
  const Both both(a, b);
  Steps steps(slip);
  steps.line(both.copy());
  Digits sum;
  int carry = 0;
  for (size_t i = 0; i < both.a.size(); ++i) {
    const int total = both.a[i] + both.b[i] + carry;
    steps.step(fmt::format("{}{}+{}+{}={:02}", upper(i), both.a[i], both.b[i], carry, total));
    sum.push_back(total % 10);
    carry = total / 10;
  }
  sum.push_back(carry);
  return steps.finish("=" + labelled_down(sum, 'A'));
}

std::string subtract_trace(int64_t a, int64_t b, Slip slip) {
  const Both both(a, b);
  Steps steps(slip);
  steps.line(both.copy());
  compare_lines(both, steps);
  if (a == b) return steps.finish("=0");
  const Digits& larger = a > b ? both.a : both.b;
  const Digits& smaller = a > b ? both.b : both.a;
  Digits difference;
  int borrow = 0;
  for (size_t i = 0; i < larger.size(); ++i) {
    const int left = larger[i] - smaller[i] - borrow;
    const int next = left < 0 ? 1 : 0;
    // The slip's digit is the written one, so the borrow stands in front of it.
    steps.step(fmt::format("{}{}-{}-{}=-{}0+{}", upper(i), larger[i], smaller[i], borrow, next,
                           left + 10 * next));
    difference.push_back(left + 10 * next);
    borrow = next;
  }
  return steps.finish((a > b ? "=" : "=-") + labelled_down(difference, 'A'));
}

std::string multiply_trace(int64_t a, int64_t b, Slip slip) {
  const Digits x = digits_of(a), y = digits_of(b);
  Steps steps(slip);
  steps.line(labelled(x, 'A') + " " + labelled(y, 'a'));
  Digits sum(x.size(), 0), done;
  for (size_t j = 0; j < y.size(); ++j) {
    steps.line(fmt::format("{}{}", lower(j), y[j]));
    int carry = 0;
    Digits next;
    for (size_t i = 0; i < x.size(); ++i) {
      const int product = x[i] * y[j], total = product + sum[i] + carry;
      steps.step(fmt::format("{}{}*{}={:02},+{}+{}={:02}", upper(i), x[i], y[j], product, sum[i],
                             carry, total));
      next.push_back(total % 10);
      carry = total / 10;
    }
    done.push_back(next.front());
    next.erase(next.begin());
    next.push_back(carry);
    sum = next;
    steps.line(fmt::format("{}{} {}", lower(j), done.back(), labelled(sum, 'A')));
  }
  return steps.finish("=" + labelled_down(sum, 'A') + labelled_down(done, 'a'));
}

std::string divide_trace(int64_t a, int64_t b, Slip slip) {
  Digits digits = digits_of(a);
  std::reverse(digits.begin(), digits.end());
  Steps steps(slip);
  if (b >= 10) {
    std::string multiples;
    for (int64_t i = 1; i <= 9; ++i)
      multiples += fmt::format("{}{}:{}", i > 1 ? " " : "", i, i * b);
    steps.line(multiples);
  }
  steps.line(labelled(digits, 'A'));
  Digits quotient;
  int64_t rest = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    const int64_t current = rest * 10 + digits[i];
    const int64_t times = current / b;
    rest = current % b;
    steps.step(fmt::format("{}{}:{}*{}={},{}-{}={}", upper(i), current, times, b, times * b,
                           current, times * b, rest));
    quotient.push_back(static_cast<int>(times));
  }
  return steps.finish(fmt::format("={} r{}", labelled(quotient, 'A'), rest));
}

}  // namespace hadal::data
