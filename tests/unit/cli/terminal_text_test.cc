#include "cli/terminal_text.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace hadal::cli {
namespace {

TEST(TerminalText, LeavesTextAlone) {
  const std::string text = "Zwölf – 十二 🙂\n\ttab\u200D";
  EXPECT_EQ(terminal_text(text), text);
}

TEST(TerminalText, DefusesEscapes) {
  EXPECT_EQ(terminal_text("\033[31mred\033]0;title\a"), "\u241B[31mred\u241B]0;title\u2407");
  EXPECT_EQ(terminal_text("a\rb\b\x7F"), "ab\u2408\u2421");
  EXPECT_EQ(terminal_text("\u009B31m"), "\uFFFD31m");  // C1: CSI in one character
  EXPECT_EQ(terminal_text("\u202Etxt.exe\u2069"), "\uFFFDtxt.exe\uFFFD");
  EXPECT_EQ(terminal_text("\x9B"
                          "31m"),
            "\uFFFD31m");  // a lone byte is no UTF-8
  EXPECT_EQ(terminal_text(std::string_view("\0x", 2)), "\u2400x");
}

TEST(TerminalText, NoBytesGetThrough) {
  for (uint64_t round = 0; round < 2000; ++round) {
    std::string bytes;
    for (uint64_t i = 0; i < 40; ++i) {
      bytes += static_cast<char>(static_cast<unsigned char>(random_uniform(7, round, i) * 256));
    }
    const std::string safe = terminal_text(bytes);
    for (size_t i = 0; i < safe.size(); ++i) {
      const auto byte = static_cast<unsigned char>(safe[i]);
      EXPECT_TRUE(byte >= 0x20 || byte == '\n' || byte == '\t');
      EXPECT_NE(byte, 0x7F);
      const bool c1 = byte == 0xC2 && static_cast<unsigned char>(safe[i + 1]) < 0xA0;
      EXPECT_FALSE(c1);
    }
  }
}

}  // namespace
}  // namespace hadal::cli
