#include "grammar/regex.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.h"

namespace hadal::grammar {
namespace {

constexpr size_t pattern_bytes_max = 4096;
constexpr size_t states_max = 20'000;
constexpr int nesting_max = 50;
constexpr int64_t repeats_max = 2'000;

const CharSet& digits() {
  static const CharSet set{{'0', '9'}};
  return set;
}
const CharSet& word() {
  static const CharSet set{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return set;
}
const CharSet& space() {
  static const CharSet set{{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                           {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                           {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  return set;
}
const CharSet& line_ends() {
  static const CharSet set{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
  return set;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  // Each alternative of the whole is searched for on its own.
  CharNfa parse() {
    nfa_.start = add_state();
    nfa_.end = add_state();
    do {
      int32_t from = add_state();
      add_empty(nfa_.start, from);
      if (!take("^")) loop(from);
      from = parse_sequence(from, 0);
      if (!take("$")) loop(from);
      add_empty(from, nfa_.end);
    } while (take("|"));
    if (at_ < text_.size()) complain("'{}' is not expected here", text_.substr(at_, 1));
    return std::move(nfa_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void complain(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::usage, "character {}: {}", at_ + 1,
         fmt::format(format, std::forward<Args>(args)...));
  }
  [[noreturn]] void refuse(std::string_view what) const {
    fail(ErrorKind::unsupported, "character {}: {} cannot be enforced", at_ + 1, what);
  }

  int32_t add_state() {
    if (nfa_.states.size() >= states_max)
      fail(ErrorKind::limit, "the pattern needs more than {} states", states_max);
    nfa_.states.emplace_back();
    return static_cast<int32_t>(nfa_.states.size() - 1);
  }
  CharNfa::State& state(int32_t s) { return nfa_.states[static_cast<size_t>(s)]; }
  void add_empty(int32_t from, int32_t to) { state(from).empties.push_back(to); }
  void add_edge(int32_t from, CharSet set, int32_t to) {
    state(from).edges.push_back({std::move(set), to});
  }
  // Any characters, as many as there are.
  void loop(int32_t s) { add_edge(s, CharSet::all(), s); }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }

  // Up to '|', ')' or a '$' of the whole. Returns the state behind it.
  int32_t parse_sequence(int32_t from, int depth) {
    while (at_ < text_.size()) {
      const char c = peek();
      if (c == '|' || c == ')' || (c == '$' && depth == 0 && ends_alternative(at_ + 1))) break;
      if (c == '^' || c == '$') refuse("an anchor within a pattern");
      from = parse_repeated(from, depth);
    }
    return from;
  }
  bool ends_alternative(size_t at) const { return at >= text_.size() || text_[at] == '|'; }

  // Copies are made by reading the atom again.
  int32_t parse_repeated(int32_t from, int depth) {
    const size_t begin = at_;
    // Loops of other atoms must not be entered from here: a state of its own.
    int32_t first = add_state();
    add_empty(from, first);
    int32_t last = parse_atom(first, depth);
    int64_t least = 1, most = 1;
    if (take("*")) {
      least = 0;
      most = -1;
    } else if (take("+")) {
      most = -1;
    } else if (take("?")) {
      least = 0;
    } else if (peek() != '{' || !take_counts(least, most)) {
      return last;
    }
    take("?");  // which of several ways is tried first is no matter
    const size_t behind = at_;
    const auto again = [&](int32_t s) {
      at_ = begin;
      const int32_t to = parse_atom(s, depth);
      at_ = behind;
      return to;
    };
    const int32_t out = add_state();
    if (least == 0) add_empty(first, out);
    if (most == 0) return out;
    for (int64_t i = 1; i < least; ++i) {
      first = add_state();
      add_empty(last, first);
      last = again(first);
    }
    for (int64_t i = std::max<int64_t>(least, 1); i < most; ++i) {
      add_empty(last, out);
      first = add_state();
      add_empty(last, first);
      last = again(first);
    }
    add_empty(last, out);
    if (most < 0) add_empty(last, first);
    return out;
  }

  bool take_counts(int64_t& least, int64_t& most) {
    const size_t begin = at_++;
    const std::optional<int64_t> low = take_number();
    if (!low) {
      at_ = begin;
      complain("'{{' is written \\{{ where it is no repetition");
    }
    least = most = *low;
    if (take(",")) most = take_number().value_or(-1);
    if (!take("}")) complain("a repetition is written {{n}}, {{n,}} or {{n,m}}");
    if (most >= 0 && most < least) complain("at least {}, but at most {}", least, most);
    return true;
  }

  std::optional<int64_t> take_number() {
    std::optional<int64_t> value;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value.value_or(0) * 10 + (peek() - '0');
      if (*value > repeats_max)
        fail(ErrorKind::limit, "more than {} repetitions in a pattern", repeats_max);
    }
    return value;
  }

  int32_t parse_atom(int32_t from, int depth) {
    if (take("(")) return parse_group(from, depth);
    const int32_t to = add_state();
    if (take("["))
      add_edge(from, take_class(), to);
    else if (take("."))
      add_edge(from, line_ends().complement(), to);
    else if (take("\\"))
      add_edge(from, take_escape(), to);
    else if (peek() == '*' || peek() == '+' || peek() == '?')
      complain("there is nothing to repeat");
    else
      add_edge(from, one(take_char()), to);
    return to;
  }

  int32_t parse_group(int32_t from, int depth) {
    if (depth >= nesting_max) complain("groups are nested deeper than {}", nesting_max);
    if (take("?")) {
      if (take("<")) {
        if (peek() == '=' || peek() == '!') refuse("looking behind");
        while (peek() != '>' && at_ < text_.size()) ++at_;
        take(">");
      } else if (!take(":")) {
        refuse(peek() == '=' || peek() == '!' ? "looking ahead" : "a group with flags");
      }
    }
    const int32_t out = add_state();
    do {
      const int32_t begin = add_state();
      add_empty(from, begin);
      add_empty(parse_sequence(begin, depth + 1), out);
    } while (take("|"));
    if (!take(")")) complain("')' is missing");
    return out;
  }

  static CharSet one(uint32_t c) { return {{c, c}}; }

  uint32_t take_char() {
    const std::optional<uint32_t> c = next_char(text_, at_);
    if (!c) complain("the pattern is not UTF-8, or ends too early");
    return *c;
  }

  uint32_t take_hex(int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) complain("{} hexadecimal digits are expected", count);
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    if (value >= 0xD800 && value <= 0xDFFF) refuse("half a surrogate pair");
    return value;
  }

  // Behind a backslash.
  CharSet take_escape() {
    const uint32_t c = take_char();
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return digits().complement();
      case 'w':
        return word();
      case 'W':
        return word().complement();
      case 's':
        return space();
      case 'S':
        return space().complement();
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 't':
        return one('\t');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case '0':
        return one(0);
      case 'x':
        return one(take_hex(2));
      case 'u':
        return one(take_hex(4));
      default:
        break;
    }
    const bool is_word = word().contains(c);
    if (is_word) refuse(fmt::format("\\{}", static_cast<char>(c)));
    return one(c);
  }

  CharSet take_class() {
    const bool negated = take("^");
    CharSet set;
    while (!take("]")) {
      const CharSet low = take_class_atom();
      const bool ranges = peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
      if (!ranges) {
        set.add(low);
        continue;
      }
      ++at_;
      const CharSet high = take_class_atom();
      if (!is_one(low) || !is_one(high)) complain("a range between classes");
      const uint32_t from = low.ranges()[0].low, to = high.ranges()[0].low;
      if (to < from) complain("a range of characters runs backwards");
      set.add(from, to);
    }
    return negated ? set.complement() : set;
  }
  static bool is_one(const CharSet& set) {
    return set.ranges().size() == 1 && set.ranges()[0].low == set.ranges()[0].high;
  }
  CharSet take_class_atom() {
    if (take("\\b")) return one('\b');
    if (take("\\")) return take_escape();
    return one(take_char());
  }

  const std::string_view text_;
  size_t at_ = 0;
  CharNfa nfa_;
};

// Adds what empty edges reach.
void close(const CharNfa& nfa, std::vector<int32_t>& states, std::vector<bool>& in) {
  for (size_t i = 0; i < states.size(); ++i)
    for (const int32_t to : nfa.states[static_cast<size_t>(states[i])].empties)
      if (!in[static_cast<size_t>(to)]) {
        in[static_cast<size_t>(to)] = true;
        states.push_back(to);
      }
}

}  // namespace

bool CharNfa::matches(std::string_view text) const {
  std::vector<bool> in(states.size());
  std::vector<int32_t> now = {start};
  in[static_cast<size_t>(start)] = true;
  close(*this, now, in);
  for (size_t at = 0; at < text.size();) {
    const std::optional<uint32_t> c = next_char(text, at);
    if (!c) return false;
    std::vector<int32_t> next;
    in.assign(states.size(), false);
    for (const int32_t s : now)
      for (const Edge& edge : states[static_cast<size_t>(s)].edges)
        if (!in[static_cast<size_t>(edge.to)] && edge.set.contains(*c)) {
          in[static_cast<size_t>(edge.to)] = true;
          next.push_back(edge.to);
        }
    close(*this, next, in);
    now = std::move(next);
  }
  return in[static_cast<size_t>(end)];
}

CharNfa parse_regex(std::string_view pattern) {
  if (pattern.size() > pattern_bytes_max)
    fail(ErrorKind::limit, "a pattern of {} bytes, at most {} are allowed", pattern.size(),
         pattern_bytes_max);
  return Parser(pattern).parse();
}

}  // namespace hadal::grammar
