#include "grammar/constraint.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "grammar/gbnf.h"
#include "unit/grammar/written.h"

namespace hadal::grammar {
namespace {

bool is_allowed(const TokenMask& mask, int64_t token) {
  return (mask[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0;
}

// A random grammar: rules of random nesting, which call later rules, and earlier ones behind a
// byte.
class RandomGrammar {
 public:
  explicit RandomGrammar(uint64_t seed) : seed_(seed) {}
  std::string text() {
    std::string out;
    for (int rule = 0; rule < 4; ++rule)
      out += fmt::format("{} ::= {}\n", name(rule), alternatives(rule, 0));
    return out;
  }

 private:
  static std::string name(int rule) { return rule == 0 ? "root" : fmt::format("r{}", rule); }
  int pick(int n) { return static_cast<int>(random_uniform(seed_, 1, counter_++) * n); }
  std::string alternatives(int rule, int depth) {
    std::string out = sequence(rule, depth);
    for (int i = pick(3); i > 0; --i) out += fmt::format(" | {}", sequence(rule, depth));
    return out;
  }
  std::string sequence(int rule, int depth) {
    std::string out;
    for (int i = 1 + pick(3); i > 0; --i) out += fmt::format(" {}", item(rule, depth));
    return out;
  }
  std::string item(int rule, int depth) {
    static const char* const leaves[] = {"\"h\"",  "\"hell\"", "\"hello\"", "[a-m]",
                                         "[^a-z]", "\" b\"",   "\"th\"",    "\"\xE6\xB7\xB1\""};
    std::string out;
    const int kind = pick(10);
    if (kind < 5 || depth > 2)
      out = leaves[pick(8)];
    else if (kind < 7)
      out = fmt::format("({})", alternatives(rule, depth + 1));
    else if (kind < 9 && rule < 3)
      out = name(rule + 1 + pick(3 - rule));
    else
      out = fmt::format("\"(\" {} \")\"", name(pick(4)));
    static const char* const repeats[] = {"", "", "", "", "?", "*", "+", "{2}", "{0,3}"};
    return out + repeats[pick(9)];
  }

  uint64_t seed_, counter_ = 0;
};

// The mask says what accept() says, token by token, along random walks; caches that overflow all
// the time change nothing.
TEST(Constraint, MasksAgreeWithTakingEachToken) {
  const auto vocabulary = small_vocabulary();
  int walks = 0, steps = 0, ends = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const std::string text = RandomGrammar(seed).text();
    Grammar grammar;
    try {
      grammar = parse_gbnf(text);
    } catch (const Error&) {
      continue;  // matches nothing
    }
    ConstraintLimits tight;
    tight.cache_bytes = 20000;
    Matcher matcher(constraint_of(grammar)), other(constraint_of(grammar, tight));
    for (uint64_t step = 0; step < 40; ++step, ++steps) {
      const TokenMask mask = *matcher.mask();
      ASSERT_EQ(mask, *other.mask()) << text;
      std::vector<int32_t> choices;
      for (int64_t token = 0; token < vocabulary->size(); ++token) {
        Matcher copy = matcher;
        const bool taken =
            token < vocabulary->tokenizer().size() && copy.accept(static_cast<int32_t>(token));
        ASSERT_EQ(is_allowed(mask, token), taken) << text << "\ntoken " << token;
        if (taken) choices.push_back(static_cast<int32_t>(token));
      }
      ASSERT_EQ(matcher.may_end(), other.may_end());
      ASSERT_TRUE(!choices.empty() || matcher.may_end()) << "a dead end in\n" << text;
      ends += matcher.may_end();
      ASSERT_EQ(matcher.must_end(), choices.empty());
      if (choices.empty()) break;
      const double u = random_uniform(seed, 2, step);
      const int32_t token = choices[static_cast<size_t>(u * static_cast<double>(choices.size()))];
      ASSERT_TRUE(matcher.accept(token));
      ASSERT_TRUE(other.accept(token));
    }
    ++walks;
  }
  EXPECT_GT(walks, 40);
  EXPECT_GT(steps, 500);
  EXPECT_GT(ends, 50);
}

TEST(Constraint, SpecialTokensAndPaddingAreNeverText) {
  Matcher matcher(constraint_of(parse_gbnf("root ::= .*")));
  const auto mask = matcher.mask();
  const tokenizer::Tokenizer& tokenizer = small_vocabulary()->tokenizer();
  for (int32_t id = 0; id < small_vocabulary()->size(); ++id) {
    const bool is_text = id < tokenizer.size() && !tokenizer.is_special(id);
    const bool begins_character = id < 0x80 || (id >= 0xC2 && id < 0xF5) || id >= 256;
    EXPECT_EQ(is_allowed(*mask, id), is_text && begins_character) << id;
  }
  EXPECT_EQ(small_vocabulary()->text()[0], ~uint64_t{0});
}

// A loop comes back to where it was, so a long answer needs no more memory than a short one.
TEST(Constraint, LoopsReturnToKnownStates) {
  Matcher matcher(constraint_of(parse_gbnf(R"(root ::= "[" item ("," item)* "]"
                                              item ::= "\"" [^"]* "\"" )")));
  ASSERT_TRUE(matcher.accept_text("[\"abc\",\"x"));
  const auto mask = matcher.mask();
  ASSERT_TRUE(matcher.accept_text("hello\",\"yy"));
  EXPECT_EQ(matcher.mask().get(), mask.get());
}

TEST(Constraint, TooMuchWorkIsAnError) {
  ConstraintLimits limits;
  limits.steps_max = 100;
  Matcher matcher(constraint_of(parse_gbnf("root ::= [a-z]{50} | [^a]{50}"), limits));
  EXPECT_NE(error_of([&] { matcher.mask(); }).find("too much work"), std::string::npos);
  limits = {};
  limits.items_max = 30;
  Matcher ambiguous(constraint_of(parse_gbnf(R"(root ::= ("a" | "a" "a"){100})"), limits));
  EXPECT_NE(error_of([&] { ambiguous.accept_text(std::string(80, 'a')); }).find("too ambiguous"),
            std::string::npos);
}

}  // namespace
}  // namespace hadal::grammar
