// Ids and pieces by Hugging Face's tokenizers, for the vocabularies that the tree carries.
// data/tokenizers/README.md says how they were made.
#include "tokenizer/tokenizer.h"

#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "golden/reference_data.h"
#include "tokenizer/pre_tokenizer.h"

namespace hadal::tokenizer {
namespace {

using nlohmann::json;

std::vector<json> read_lines(const std::filesystem::path& path) {
  std::istringstream text(hadal::testing::read_whole(path));
  std::vector<json> out;
  for (std::string line; std::getline(text, line);) {
    out.push_back(json::parse(line));
  }
  return out;
}

std::filesystem::path folder() {
  return hadal::testing::bundled_goldens() / "tokenizers";
}

class TokenizerGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TokenizerGolden, IdsEqual) {
  const std::string name = GetParam();
  const Tokenizer tokenizer = Tokenizer::from_json((folder() / (name + ".json")).string(), "");
  int checked = 0;
  for (const json& line : read_lines(folder() / "texts.jsonl")) {
    if (!line.contains(name)) {
      continue;
    }
    const std::string text = line["text"];
    const auto plain = line[name].get<std::vector<int32_t>>();
    const std::string special = name + " special";
    const auto with_special =
        line.contains(special) ? line[special].get<std::vector<int32_t>>() : plain;
    ASSERT_EQ(tokenizer.encode(text), plain) << text;
    ASSERT_EQ(tokenizer.encode_with_special(text), with_special) << text;
    if (!tokenizer.nfc()) {
      ASSERT_EQ(tokenizer.decode(plain), text);
    }
    ++checked;
  }
  EXPECT_GE(checked, 200);
}

INSTANTIATE_TEST_SUITE_P(Bundled, TokenizerGolden,
                         ::testing::Values("seed", "deepseek-v3-512", "qwen2-512"));

class PreTokenizerGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(PreTokenizerGolden, PiecesEqual) {
  const std::optional<PreTokenizer> kind = parse_pre_tokenizer(GetParam());
  ASSERT_TRUE(kind);
  for (const json& line : read_lines(folder() / "pieces.jsonl")) {
    const std::string text = line["text"];
    std::vector<size_t> expected;
    for (const json& length : line[GetParam()]) {
      expected.push_back(length.get<size_t>() + (expected.empty() ? 0 : expected.back()));
    }
    std::vector<size_t> ends;
    split_pieces(*kind, text, ends);
    ASSERT_EQ(ends, expected) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, PreTokenizerGolden,
                         ::testing::Values("gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-llm",
                                           "deepseek-coder", "deepseek-v3"));

}  // namespace
}  // namespace hadal::tokenizer
