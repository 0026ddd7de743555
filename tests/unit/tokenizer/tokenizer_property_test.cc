// Whatever the bytes: decode undoes encode, no special token comes out of plain text, and the heap
// that merges long pieces gives what the definition says.
#include <random>

#include <gtest/gtest.h>

#include "tokenizer/merges.h"
#include "tokenizer/normalise.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"
#include "unit/tokenizer/small_tokenizer.h"

namespace hadal::tokenizer {
namespace {

constexpr const char* kKinds[] = {"gpt-2",        "smollm",         "llama-bpe",  "qwen2",
                                  "deepseek-llm", "deepseek-coder", "deepseek-v3"};

std::string random_bytes(std::mt19937& random) {
  constexpr std::string_view kPieces[] = {"<think>", "hello", " ",    "\n",     "\r\n",
                                          "'s",      "深",    "é",    "\u0301", "\u0323",
                                          "12",      "!",     "\xE6", "\xFF",   "\xED\xA0\x80"};
  std::string out;
  for (size_t i = random() % 40; i > 0; --i) {
    if (random() % 2 == 0) {
      out += static_cast<char>(random() % 256);
    } else {
      out += kPieces[random() % std::size(kPieces)];
    }
  }
  return out;
}

TEST(TokenizerProperty, AnyBytesComeBack) {
  std::mt19937 random(5);
  for (const char* kind : kKinds) {
    const Tokenizer tokenizer = small_tokenizer(kind);
    for (int trial = 0; trial < 3000; ++trial) {
      const std::string text = random_bytes(random);
      const auto ids = tokenizer.encode(text);
      ASSERT_EQ(tokenizer.decode(ids), tokenizer.nfc() ? to_nfc(text) : text);
      for (int32_t id : ids) {
        ASSERT_FALSE(tokenizer.is_special(id));
      }
      const auto special = tokenizer.encode_with_special(text);
      if (!tokenizer.nfc()) {
        ASSERT_EQ(tokenizer.decode(special), text);
      }
    }
  }
}

TEST(TokenizerProperty, PiecesCoverTheText) {
  std::mt19937 random(6);
  for (const char* kind : kKinds) {
    for (int trial = 0; trial < 2000; ++trial) {
      const std::string text = random_bytes(random);
      std::vector<size_t> ends;
      split_pieces(*parse_pre_tokenizer(kind), text, ends);
      size_t begin = 0;
      for (size_t end : ends) {
        ASSERT_GT(end, begin);
        begin = end;
      }
      ASSERT_EQ(begin, text.size());
    }
  }
}

// The definition, word for word.
std::vector<int32_t> merged_slowly(const MergeTable& table, std::vector<int32_t> symbols) {
  while (true) {
    size_t best = 0;
    MergeTable::Entry least;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const MergeTable::Entry entry = table.find(symbols[i], symbols[i + 1]);
      if (entry.rank < least.rank) {
        least = entry;
        best = i;
      }
    }
    if (least.rank == MergeTable::kNone) {
      return symbols;
    }
    symbols[best] = least.id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(TokenizerProperty, MergesAsDefined) {
  std::mt19937 random(7);
  for (int table_number = 0; table_number < 30; ++table_number) {
    MergeTable table;
    table.start(60);
    // Four letters, and merges of any two symbols so far; several pairs may make the same one.
    int32_t symbols = 4;
    for (uint32_t rank = 0; rank < 60; ++rank) {
      const auto left = static_cast<int32_t>(random() % static_cast<uint32_t>(symbols));
      const auto right = static_cast<int32_t>(random() % static_cast<uint32_t>(symbols));
      const int32_t id = random() % 4 == 0 ? symbols - 1 : symbols;
      if (table.add(left, right, rank, id) == MergeTable::Added::yes && id == symbols) {
        ++symbols;
      }
    }
    for (int trial = 0; trial < 60; ++trial) {
      std::vector<int32_t> text(random() % 200);
      for (int32_t& symbol : text) {
        symbol = static_cast<int32_t>(random() % 4);
      }
      std::vector<int32_t> fast = text;
      table.apply(fast);
      ASSERT_EQ(fast, merged_slowly(table, text));
    }
  }
}

TEST(TokenizerProperty, LongPiecesAreNotQuadratic) {
  const Tokenizer tokenizer = small_tokenizer();
  std::string marks;
  while (marks.size() < 1'000'000) {
    marks += "\u0301\u0323";
  }
  const std::string texts[] = {std::string(1'000'000, 'l'), std::string(1'000'000, ' '),
                               std::string(1'000'000, '7'), std::string(1'000'000, '\n'), marks};
  // Quadratic work on a million symbols would take minutes: ctest's limit would stop it.
  for (const std::string& text : texts) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
  EXPECT_EQ(to_nfc(marks).size(), marks.size());
}

}  // namespace
}  // namespace hadal::tokenizer
