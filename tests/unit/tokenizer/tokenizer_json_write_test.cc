// tokenizer.json as Hadal writes it reads back as the same tokenizer.
#include "tokenizer/tokenizer_json_write.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "tokenizer/tokenizer_json.h"

namespace hadal::tokenizer {
namespace {

TokenizerParts example() {
  TokenizerParts parts;
  parts.pre = "deepseek-v3";
  parts.tokens = {"<bos>", "a", "b", "Ġ", "ab", "Ġab", "\"", "<call>", "<eos>", "[PAD9]"};
  parts.types = {3, 1, 1, 1, 1, 1, 1, 4, 3, 5};
  parts.merges = {"a b", "Ġ ab"};
  parts.bos_id = 0;
  parts.eos_id = 8;
  parts.add_bos = true;
  return parts;
}

TEST(TokenizerJsonWrite, ReadsBackTheSame) {
  for (const char* pre :
       {"deepseek-v3", "deepseek-llm", "deepseek-coder", "qwen2", "llama-bpe", "gpt-2", "smollm"}) {
    TokenizerParts parts = example();
    parts.pre = pre;
    const std::string json = tokenizer_json_text(parts, "test");
    const std::string config = tokenizer_config_text(parts, "{{ messages }}", 4096);
    const TokenizerFile file = parse_tokenizer_json(json, config, "test");
    EXPECT_EQ(file.parts.pre, pre);
    const std::vector<std::string_view> tokens(parts.tokens.begin(), parts.tokens.end() - 1);
    EXPECT_EQ(file.parts.tokens, tokens);
    EXPECT_EQ(file.parts.types, std::vector<int32_t>(parts.types.begin(), parts.types.end() - 1));
    EXPECT_EQ(file.parts.merges, parts.merges);
    EXPECT_EQ(file.parts.bos_id, 0);
    EXPECT_EQ(file.parts.eos_id, 8);
    EXPECT_TRUE(file.parts.add_bos);
    EXPECT_EQ(file.parts.nfc.value_or(false), parts.pre == "qwen2");
    EXPECT_EQ(file.chat_template, "{{ messages }}");
  }
}

TEST(TokenizerJsonWrite, SaysWhetherTextIsNormalised) {
  TokenizerParts parts = example();
  parts.pre = "qwen2";
  parts.nfc = false;
  const std::string json = tokenizer_json_text(parts, "test");
  EXPECT_EQ(parse_tokenizer_json(json, "", "test").parts.nfc, std::optional<bool>(false));
}

TEST(TokenizerJsonWrite, RefusesUnknownPreTokenizers) {
  TokenizerParts parts = example();
  parts.pre = "tekken";
  try {
    tokenizer_json_text(parts, "model.gguf");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'tekken'"), std::string::npos);
  }
}

}  // namespace
}  // namespace hadal::tokenizer
