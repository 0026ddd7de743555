#include "grammar/gbnf.h"

#include <vector>

#include <gtest/gtest.h>

#include "unit/grammar/written.h"

namespace hadal::grammar {
namespace {

struct Case {
  const char* grammar;
  std::vector<std::string> whole, begun, refused;
};

TEST(Gbnf, TakesWhatItsRulesSay) {
  const std::vector<Case> cases = {
      {R"(root ::= "yes" | "no")", {"yes", "no"}, {"", "y", "ye"}, {"x", "yesno", "yes "}},
      {R"(root ::= [a-c]+ "-"?)", {"a", "abc-", "c-"}, {""}, {"d", "-", "a--"}},
      {R"(root ::= "a"{2,4} "b"*)", {"aa", "aaaab", "aabbb"}, {"", "a"}, {"aaaaa", "b", "aba"}},
      {R"(root ::= ("x" "y"){2})", {"xyxy"}, {"x", "xyx"}, {"xx", "xyxyx"}},
      {R"(root ::= "n" {,2} "k" {1,})", {"k", "nnkk"}, {"n", "nn"}, {"nnn"}},
      {"root ::= a # comment\na ::= \"(\" a \")\" | \"\"",
       {"", "()", "((()))"},
       {"("},
       {")", "())"}},
      {"root ::=\n  \"a\"\n  | \"b\"\n  tail\ntail ::= \"!\"", {"a", "b!"}, {"b"}, {"a!"}},
      {R"(root ::= [^"\\]* "\"" )",
       {"\"", "h\xC3\xA9\"", "\xF0\x9F\x98\x80\""},
       {"a", "\xC3"},
       {"\\", "\"\"", "\xFF", "\xC3\xC3", "\xED\xA0\x80"}},
      {R"(root ::= "\x41\u00e9\U0001F600\n\"\\" [\]\-^])",
       {"A\xC3\xA9\xF0\x9F\x98\x80\n\"\\]", "A\xC3\xA9\xF0\x9F\x98\x80\n\"\\-"},
       {"A\xC3"},
       {"a"}},
      {R"(root ::= .{3})", {"abc", "\xE6\xB7\xB1\xC3\xA9x"}, {"ab", "\xE6"}, {"abcd", "\x80"}},
      {R"(root ::= [а-я]+)", {"мир"}, {"\xD0"}, {"w", "Мир"}},
      {R"(root ::= ws "a" ws
          ws ::= ([ \t\n] ws)?)",
       {"a", "  a \n\t "},
       {"   "},
       {"b"}},
      {"root ::= e\ne ::= t (\"+\" t)*\nt ::= \"(\" e \")\" | [0-9]+",
       {"1", "(1+2)+(3)", "((((7))))"},
       {"(1", "1+"},
       {")", "+", "()"}},
  };
  for (const Case& c : cases) {
    const auto constraint = constraint_of(parse_gbnf(c.grammar));
    for (const auto& text : c.whole)
      EXPECT_EQ(take(constraint, text), Taken::whole) << c.grammar << "\n" << text;
    for (const auto& text : c.begun)
      EXPECT_EQ(take(constraint, text), Taken::begun) << c.grammar << "\n" << text;
    for (const auto& text : c.refused)
      EXPECT_EQ(take(constraint, text), Taken::refused) << c.grammar << "\n" << text;
  }
}

TEST(Gbnf, MistakesAreNamed) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"", "no rule 'root'"},
      {"start ::= \"a\"", "no rule 'root'"},
      {"root ::= other", "'other' is used but not defined"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2: rule 'root' is defined twice"},
      {"root ::= \"a", "a '\"' is missing"},
      {"root ::= [a", "ends within"},
      {"root ::= (\"a\"", "')' is missing"},
      {"root ::= \"a\")", "')' is not understood"},
      {"root ::= [z-a]", "backwards"},
      {"root ::= \"a\"{3,2}", "at least 3, at most 2"},
      {"root ::= \"a\"{x}", "{n}, {n,} or {n,m}"},
      {"root ::= \"a\"{9999999}", "more than 100000"},
      {"root ::= \"\\q\"", "no escape"},
      {"root ::= \"\\u12\"", "4 hexadecimal"},
      {"root ::= \"\\uD800\"", "no character"},
      {"root ::= \"\xFF\"", "not UTF-8"},
      {"root = \"a\"", "'::=' is expected"},
      {"root ::= <think>", "'<' is not understood"},
      {"root ::= root \"a\" | \"a\"", "'root' is left-recursive"},
      {"root ::= x\nx ::= e y\ny ::= x \"a\" | \"b\"\ne ::= \"\"", "left-recursive"},
      {"root ::= \"a\" root", "'root' matches nothing"},
      {"root ::= x | y\nx ::= \"a\" y\ny ::= \"b\" x", "matches nothing"},
      {"root ::= []", "matches nothing"},
  };
  for (const auto& [text, part] : cases) {
    const std::string message = error_of([&] { parse_gbnf(text); });
    EXPECT_NE(message.find(part), std::string::npos) << text << "\n" << message;
  }
}

TEST(Gbnf, GrammarsThatWouldExplodeAreRefused) {
  EXPECT_NE(error_of([] {
              parse_gbnf(R"(root ::= [^a]{100000} [^b]{100000} [^c]{100000}
                                        [^d]{100000})");
            }).find("400000 states"),
            std::string::npos);
  EXPECT_NE(error_of([] { parse_gbnf("root ::= " + std::string(100000, '(')); }).find("deeper"),
            std::string::npos);
  EXPECT_NE(error_of([] { parse_gbnf(std::string(2 << 20, ' ')); }).find("bytes"),
            std::string::npos);
  // A circle of very many rules.
  std::string chain = "root ::= r0\n";
  for (int i = 0; i < 20000; ++i) chain += fmt::format("r{} ::= r{} | \"a\"\n", i, (i + 1) % 20000);
  EXPECT_NE(error_of([&] { parse_gbnf(chain); }).find("left-recursive"), std::string::npos);
}

// Rules deep within each other, and as many ways to read a text as a computer could never count.
TEST(Gbnf, AmbiguousGrammarsCostNoMoreThanTheirDifferences) {
  const auto two_ways = constraint_of(parse_gbnf(R"(root ::= "a" root "b" | "a" root "c" | "a")"));
  std::string text(200, 'a');
  EXPECT_EQ(take(two_ways, text), Taken::begun);
  for (int i = 0; i < 199; ++i) text += i % 3 == 0 ? 'b' : 'c';
  EXPECT_EQ(take(two_ways, text), Taken::whole);
  const auto split = constraint_of(parse_gbnf(R"(root ::= x x x x x x x x
                                                 x ::= [a-z]* | [a-y]* | "a"*)"));
  EXPECT_EQ(take(split, std::string(3000, 'a')), Taken::whole);
  // Copies of copies are calls of calls: a million million characters need some thousand states.
  const auto many = constraint_of(parse_gbnf(R"(root ::= ((("a"{1000}){1000}){1000}){1000})"));
  EXPECT_EQ(take(many, std::string(5000, 'a')), Taken::begun);
  const auto nested = constraint_of(parse_gbnf(R"(root ::= ((("a"*)*)*)*)"));
  EXPECT_EQ(take(nested, std::string(3000, 'a')), Taken::whole);
}

TEST(Gbnf, CallsAreNotOfferedBeyondTheirDepth) {
  const auto lists = constraint_of(parse_gbnf(R"(root ::= "[" (root ",")* "]")"));
  Matcher matcher(lists);
  int depth = 0;
  while (matcher.accept_text("[")) ++depth;
  EXPECT_EQ(depth, 257);
  while (depth-- > 1) ASSERT_TRUE(matcher.accept_text("],"));
  EXPECT_TRUE(matcher.accept_text("]"));
  EXPECT_TRUE(matcher.must_end());
}

}  // namespace
}  // namespace hadal::grammar
