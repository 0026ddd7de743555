#include "grammar/gbnf.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "grammar/char_set.h"

namespace hadal::grammar {
namespace {

constexpr size_t text_bytes_max = size_t{1} << 20;
constexpr int nesting_max = 200;
constexpr int64_t repeats_max = 100'000;

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class Parser {
 public:
  Parser(std::string_view text, GrammarBuilder& builder) : text_(text), builder_(builder) {}

  RuleNames parse() {
    for (skip_space(); at_ < text_.size(); skip_space()) parse_rule();
    RuleNames names;
    for (const auto& [name, rule] : rules_) {
      if (!rule.defined) fail(ErrorKind::usage, "grammar: rule '{}' is used but not defined", name);
      names.emplace(name, rule.id);
    }
    return names;
  }

 private:
  struct Rule {
    RuleId id;
    bool defined;
  };

  template <typename... Args>
  [[noreturn]] void complain(fmt::format_string<Args...> format, Args&&... args) const {
    size_t line = 1;
    for (size_t i = 0; i < std::min(at_, text_.size()); ++i) line += text_[i] == '\n';
    fail(ErrorKind::usage, "grammar, line {}: {}", line,
         fmt::format(format, std::forward<Args>(args)...));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void skip_space() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#')
        at_ = std::min(text_.find('\n', at_), text_.size() - 1);
      else if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
        return;
    }
  }
  std::string take_name() {
    const size_t begin = at_;
    while (is_name(peek())) ++at_;
    if (at_ == begin) complain("a rule's name is expected");
    return std::string(text_.substr(begin, at_ - begin));
  }
  RuleId rule_of(const std::string& name) {
    const auto found = rules_.find(name);
    if (found != rules_.end()) return found->second.id;
    const RuleId id = builder_.add_rule(name);
    rules_.emplace(name, Rule{id, false});
    return id;
  }

  void parse_rule() {
    const std::string name = take_name();
    skip_space();
    if (!take("::=")) complain("'::=' is expected behind '{}'", name);
    const RuleId rule = rule_of(name);
    Rule& entry = rules_.find(name)->second;
    if (entry.defined) complain("rule '{}' is defined twice", name);
    entry.defined = true;
    builder_.empty(parse_alternatives(builder_.start(rule), 0), builder_.end(rule));
  }

  // Up to the ')' of a group, or to the next rule.
  StateId parse_alternatives(StateId from, int depth) {
    if (depth > nesting_max) complain("groups are nested deeper than {}", nesting_max);
    const StateId to = builder_.add_state();
    do {
      const StateId begin = builder_.add_state();
      builder_.empty(from, begin);
      builder_.empty(parse_sequence(begin, depth), to);
    } while (take("|"));
    return to;
  }

  bool next_is_rule() const {
    size_t i = at_;
    while (i < text_.size() && is_name(text_[i])) ++i;
    while (i < text_.size() && (text_[i] == ' ' || text_[i] == '\t')) ++i;
    return text_.substr(i).starts_with("::=");
  }

  StateId parse_sequence(StateId from, int depth) {
    for (;;) {
      skip_space();
      const char c = peek();
      if (at_ >= text_.size() || c == '|' || (c == ')' && depth > 0)) return from;
      if (is_name(c) && next_is_rule()) {
        if (depth > 0) complain("')' is missing");
        return from;
      }
      const StateId begin = builder_.add_state();
      from = parse_repetition(from, begin, parse_atom(begin, depth));
    }
  }

  StateId parse_atom(StateId from, int depth) {
    if (take("\"")) {
      while (!take("\"")) {
        if (at_ >= text_.size()) complain("a '\"' is missing");
        from = builder_.literal(from, utf8_of(take_char()));
      }
      return from;
    }
    const StateId to = builder_.add_state();
    if (take("[")) {
      add_chars(builder_, from, take_class(), to);
    } else if (take(".")) {
      add_chars(builder_, from, CharSet::all(), to);
    } else if (take("(")) {
      builder_.empty(parse_alternatives(from, depth + 1), to);
      if (!take(")")) complain("')' is missing");
    } else if (is_name(peek())) {
      builder_.call(from, rule_of(take_name()), to);
    } else {
      complain("'{}' is not understood here", text_.substr(at_, 1));
    }
    return to;
  }

  CharSet take_class() {
    const bool negated = take("^");
    CharSet set;
    while (!take("]")) {
      const uint32_t low = take_char();
      uint32_t high = low;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        high = take_char();
      }
      if (high < low) complain("a range of characters runs backwards");
      set.add(low, high);
    }
    return negated ? set.complement() : set;
  }

  // What *, +, ? or {n,m} makes of begin..end; returns the state behind it.
  StateId parse_repetition(StateId from, StateId begin, StateId end) {
    int64_t least = 1, most = 1;
    skip_space();
    if (take("*")) {
      least = 0;
      most = -1;
    } else if (take("+")) {
      most = -1;
    } else if (take("?")) {
      least = 0;
    } else if (take("{")) {
      take_counts(least, most);
    }
    if (least <= 1 && (most == 1 || most < 0)) {  // without copies
      const StateId out = builder_.add_state();
      builder_.empty(from, begin);
      builder_.empty(end, out);
      if (least == 0) builder_.empty(from, out);
      if (most < 0) builder_.empty(end, begin);
      return out;
    }
    return builder_.repeat(from, builder_.add_rule("(...)", begin, end), least, most);
  }

  void take_counts(int64_t& least, int64_t& most) {
    least = take_number().value_or(0);
    if (take(",")) {
      most = take_number().value_or(-1);
    } else {
      most = least;
    }
    if (!take("}")) complain("a repetition is written {{n}}, {{n,}} or {{n,m}}");
    if (most >= 0 && most < least) complain("a repetition of at least {}, at most {}", least, most);
  }

  std::optional<int64_t> take_number() {
    std::optional<int64_t> value;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value.value_or(0) * 10 + (peek() - '0');
      if (*value > repeats_max) complain("more than {} repetitions", repeats_max);
    }
    return value;
  }

  // One character of a literal or a class, with escapes.
  uint32_t take_char() {
    if (at_ >= text_.size()) complain("the text ends within a literal or a class");
    if (!take("\\")) return take_utf8();
    const char c = peek();
    ++at_;
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return take_hex(2);
      case 'u':
        return take_hex(4);
      case 'U':
        return take_hex(8);
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return static_cast<uint32_t>(c);
      default:
        complain("'\\{}' is no escape that a grammar knows", c >= ' ' && c <= '~' ? c : '?');
    }
  }

  uint32_t take_hex(int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) complain("{} hexadecimal digits are expected", digits);
      value = value << 4 | static_cast<uint32_t>(digit);
    }
    return check(value);
  }

  uint32_t check(uint32_t value) const {
    if (value > code_point_max || (value >= 0xD800 && value <= 0xDFFF))
      complain("U+{:04X} is no character", value);
    return value;
  }

  uint32_t take_utf8() {
    const std::optional<uint32_t> c = next_char(text_, at_);
    if (!c) complain("the text is not UTF-8");
    return *c;
  }

  const std::string_view text_;
  size_t at_ = 0;
  GrammarBuilder& builder_;
  std::map<std::string, Rule, std::less<>> rules_;
};

}  // namespace

RuleNames add_gbnf(GrammarBuilder& builder, std::string_view text) {
  if (text.size() > text_bytes_max)
    fail(ErrorKind::limit, "the grammar has {} bytes, at most {} are allowed", text.size(),
         text_bytes_max);
  return Parser(text, builder).parse();
}

Grammar parse_gbnf(std::string_view text, std::string_view root) {
  GrammarBuilder builder;
  const RuleNames names = add_gbnf(builder, text);
  const auto found = names.find(root);
  if (found == names.end()) fail(ErrorKind::usage, "grammar: there is no rule '{}'", root);
  return builder.compile(found->second);
}

}  // namespace hadal::grammar
