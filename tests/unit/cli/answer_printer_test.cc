#include "cli/answer_printer.h"

#include <gtest/gtest.h>

namespace hadal::cli {
namespace {

using Kind = tokenizer::StreamEvent::Kind;

std::string printed(const AnswerStyle& style) {
  std::string out;
  AnswerPrinter printer(style, [&](std::string_view text) { out += text; });
  printer.push({Kind::reasoning, "seven and"});
  printer.push({Kind::reasoning, " five"});
  printer.push({Kind::content, "It is \033[1m"});
  printer.push({Kind::content, "12."});
  printer.finish();
  return out;
}

TEST(AnswerPrinter, PipesGetTheAnswerAlone) {
  EXPECT_EQ(printed({}), "It is \033[1m12.\n");
}

TEST(AnswerPrinter, ThoughtsAreDimmed) {
  EXPECT_EQ(printed({true, true, false}),
            "\033[2mseven and\033[0m\033[2m five\033[0m\n\nIt is \u241B[1m12.\n");
}

TEST(AnswerPrinter, WithoutColourThoughtsAreNamed) {
  EXPECT_EQ(printed({true, false, false}),
            "(thinks)\nseven and five\n\n(answers)\nIt is \u241B[1m12.\n");
}

TEST(AnswerPrinter, FoldedThoughtsAreOneLine) {
  EXPECT_EQ(printed({true, false, true}),
            "\r\033[Kthinking, 1 tokens\r\033[Kthinking, 2 tokens"
            "\r\033[Kthought for about 2 tokens\nIt is \u241B[1m12.\n");
}

TEST(AnswerPrinter, EndsEveryAnswerWithALineFeed) {
  std::string out;
  AnswerPrinter printer({}, [&](std::string_view text) { out += text; });
  printer.push({Kind::content, "one\n"});
  printer.finish();
  printer.push({Kind::content, "two"});
  printer.finish();
  printer.finish();
  EXPECT_EQ(out, "one\ntwo\n");
}

}  // namespace
}  // namespace hadal::cli
