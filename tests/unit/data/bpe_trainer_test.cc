// The trainer's merges are those of the definition, and its files give text back.
#include "data/bpe_trainer.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "files.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace hadal::data {
namespace {

using testing::ScratchFolder;

// Words of few letters, so that pairs overlap and tie.
std::string random_text(uint64_t seed, int words) {
  std::string text;
  for (int w = 0; w < words; ++w) {
    const auto r = philox(seed, static_cast<uint64_t>(w), 1);
    for (uint32_t i = 0; i <= r[0] % 6; ++i) text += static_cast<char>('a' + (r[1] >> 2 * i) % 3);
    text += r[2] % 7 == 0 ? "\n" : " ";
    if (r[3] % 5 == 0) text += std::to_string(r[2] % 1000) + " ";
  }
  return text;
}

// By the definition: count all pairs anew for each merge.
std::vector<std::pair<int32_t, int32_t>> naive_merges(const std::string& text, size_t count) {
  std::vector<size_t> ends;
  tokenizer::split_pieces(tokenizer::PreTokenizer::smollm, text, ends);
  std::vector<std::vector<int32_t>> words;
  size_t begin = 0;
  for (const size_t end : ends) {
    words.emplace_back();
    for (; begin < end; ++begin) words.back().push_back(static_cast<unsigned char>(text[begin]));
  }
  std::vector<std::pair<int32_t, int32_t>> merges;
  std::vector<std::string> tokens;
  for (int i = 0; i < 256; ++i) tokens.emplace_back(1, static_cast<char>(i));
  while (tokens.size() < 256 + count) {
    std::map<std::pair<int32_t, int32_t>, int> counts;
    for (const auto& word : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    }
    std::pair<std::pair<int32_t, int32_t>, int> best = {{}, 1};
    for (const auto& entry : counts) {
      if (entry.second > best.second) best = entry;
    }
    if (best.second < 2) break;
    const auto [left, right] = best.first;
    const std::string joined =
        tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)];
    const auto same = std::find(tokens.begin(), tokens.end(), joined);
    const auto id = static_cast<int32_t>(same - tokens.begin());
    if (same == tokens.end()) tokens.push_back(joined);
    for (auto& word : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        if (word[i] != left || word[i + 1] != right) continue;
        word[i] = id;
        word.erase(word.begin() + static_cast<ptrdiff_t>(i) + 1);
      }
    }
    merges.push_back(best.first);
  }
  return merges;
}

TEST(BpeTrainer, LearnsTheMergesOfTheDefinition) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::string text = random_text(seed, 400);
    PieceCounts pieces;
    pieces.add(text);
    std::vector<std::pair<int32_t, int32_t>> merges;
    for (const Merge& merge : learn_merges(pieces, 120)) {
      merges.emplace_back(merge.left, merge.right);
    }
    ASSERT_GT(merges.size(), 30u);
    EXPECT_EQ(merges, naive_merges(text, 120)) << "seed " << seed;
  }
}

tokenizer::Tokenizer trained(const ScratchFolder& folder, const std::string& text) {
  PieceCounts pieces;
  pieces.add(text);
  const TokenizerText files = tokenizer_text(learn_merges(pieces, 300), 512);
  const std::string json = folder.write("tokenizer.json", files.tokenizer_json);
  const std::string config = folder.write("tokenizer_config.json", files.config_json);
  return tokenizer::Tokenizer::from_json(json, config);
}

TEST(BpeTrainer, WritesATokenizerThatGivesEveryTextBack) {
  const ScratchFolder folder;
  const tokenizer::Tokenizer tokenizer = trained(folder, random_text(1, 5000));
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_TRUE(tokenizer.add_bos());
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::string text = random_text(seed + 50, 20);
    for (uint64_t i = 0; i < seed % 40; ++i) {  // and any bytes
      text += static_cast<char>(philox(seed, i, 2)[0]);
    }
    const std::vector<int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(tokenizer.decode(ids), text);
    for (const int32_t id : ids) EXPECT_FALSE(tokenizer.is_special(id));
  }
}

TEST(BpeTrainer, KeepsDigitsSingleAndApartFromSpaces) {
  const ScratchFolder folder;
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "it is 77 77 2026 77, 77\n";
  const tokenizer::Tokenizer tokenizer = trained(folder, text);
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (tokenizer.is_special(id) || bytes.find_first_of("0123456789") == std::string_view::npos)
      continue;
    EXPECT_EQ(bytes.size(), 1u) << bytes;
  }
  EXPECT_EQ(tokenizer.encode(" 2026").size(), 5u);
  EXPECT_EQ(tokenizer.encode(" is").size(), 1u);
  EXPECT_EQ(tokenizer.special_id("<think>"), 5);
  EXPECT_EQ(tokenizer.special_id("<｜Assistant｜>"), 4);
}

}  // namespace
}  // namespace hadal::data
