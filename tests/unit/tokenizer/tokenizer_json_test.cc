// What from_json accepts and refuses: a small tokenizer, and what happens when it is damaged.
#include "tokenizer/tokenizer_json.h"

#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tokenizer.h"

namespace hadal::tokenizer {
namespace {

using nlohmann::json;

constexpr const char* kQwenRegex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// All 256 bytes, a few merges, two added tokens.
json small() {
  json vocabulary = json::object();
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    vocabulary[alphabet_spelling({&c, 1})] = byte;
  }
  vocabulary["he"] = 256;
  vocabulary["ll"] = 257;
  vocabulary["hell"] = 258;
  vocabulary["Ġhe"] = 259;
  const auto added = [](int id, const char* content, bool special) {
    return json{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", special}};
  };
  const json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kQwenRegex}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", true},
                      {"use_regex", false}};
  return {{"version", "1.0"},
          {"added_tokens", {added(260, "<s>", true), added(261, "<think>", false)}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
          {"model",
           {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {"h e", "l l", "he ll", "Ġ he"}}}}};
}

Tokenizer build(const std::string& text, const std::string& config = "") {
  const TokenizerFile file = parse_tokenizer_json(text, config, "small.json");
  return Tokenizer::from_parts(file.parts, "small.json");
}

// The message with which `text` is refused; a test that expects one fails if there is none.
std::string refusal(const std::string& text, const std::string& config = "") {
  try {
    build(text, config);
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "not refused";
  return {};
}

void expect_refusal(const json& value, const char* part) {
  EXPECT_NE(refusal(value.dump()).find(part), std::string::npos) << refusal(value.dump());
}

TEST(TokenizerJson, SmallOneWorks) {
  const Tokenizer t = build(small().dump());
  EXPECT_EQ(t.size(), 262);
  EXPECT_EQ(t.pre(), "qwen2");
  EXPECT_FALSE(t.nfc());
  EXPECT_EQ(t.encode("hell"), std::vector<int32_t>({258}));
  EXPECT_EQ(t.encode("<think>"), std::vector<int32_t>({'<', 't', 'h', 'i', 'n', 'k', '>'}));
  EXPECT_EQ(t.encode_with_special("a<think>"), std::vector<int32_t>({'a', 261}));
  EXPECT_EQ(t.token_bytes(259), " he");
  EXPECT_EQ(t.token_bytes(262), "");
  EXPECT_EQ(t.token_bytes(-1), "");
  EXPECT_TRUE(t.is_special(260));
  EXPECT_TRUE(t.is_special(261));
  EXPECT_FALSE(t.is_special(258));
  EXPECT_FALSE(t.is_special(1000));
  EXPECT_EQ(t.special_id("<s>"), 260);
  EXPECT_EQ(t.special_id("<s"), std::nullopt);
  EXPECT_EQ(t.special_id(""), std::nullopt);
  EXPECT_EQ(t.bos_id(), -1);
  const std::string bytes = "\xFF\xC0 ok \xE4\xB8";
  EXPECT_EQ(t.decode(t.encode(bytes)), bytes);
}

TEST(TokenizerJson, MergesGivenAsPairs) {
  json value = small();
  value["model"]["merges"] = json::parse(R"([["h", "e"], ["l", "l"], ["he", "ll"]])");
  EXPECT_EQ(build(value.dump()).encode("hell"), std::vector<int32_t>({258}));
}

TEST(TokenizerJson, ConfigNamesTokens) {
  const std::string config =
      R"({"bos_token": {"content": "<s>"}, "eos_token": "<think>", "add_bos_token": true})";
  const Tokenizer t = build(small().dump(), config);
  EXPECT_EQ(t.bos_id(), 260);
  EXPECT_EQ(t.eos_id(), 261);
  EXPECT_TRUE(t.add_bos());
  EXPECT_NE(refusal(small().dump(), R"({"bos_token": "<x>"})").find("bos_token"),
            std::string::npos);
  EXPECT_NE(refusal(small().dump(), "[]").find("tokenizer_config.json"), std::string::npos);
}

TEST(TokenizerJson, TemplateOfTheConfig) {
  const std::string config =
      R"({"chat_template": [{"name": "x", "template": "X"}, {"name": "default", "template": "Y"}]})";
  EXPECT_EQ(parse_tokenizer_json(small().dump(), config, "s").chat_template, "Y");
}

TEST(TokenizerJson, RefusesBrokenVocabularies) {
  json value = small();
  value["model"]["vocab"]["hell"] = 257;
  expect_refusal(value, "the id 257 is given twice");
  value = small();
  value["model"]["vocab"].erase("he");
  expect_refusal(value, "no token has the id 256");
  value = small();
  value["model"]["vocab"]["hell"] = 1e9;
  expect_refusal(value, "expected an integer");
  value["model"]["vocab"]["hell"] = 1000000000;
  expect_refusal(value, "1000000000");
  value["model"]["vocab"]["hell"] = -1;
  expect_refusal(value, "-1");
  value["model"]["vocab"]["hell"] = "x";
  expect_refusal(value, "expected an integer");
  value = small();
  value["model"]["vocab"] = json::array();
  expect_refusal(value, "expected '{'");
  value = small();
  value["model"].erase("vocab");
  expect_refusal(value, "no vocab");
  value = small();
  value["model"]["vocab"]["zz"] = value["model"]["vocab"]["A"];
  value["model"]["vocab"].erase("A");
  expect_refusal(value, "0x41");
}

TEST(TokenizerJson, RefusesBrokenMerges) {
  json value = small();
  value["model"]["merges"] = {"h e", "l x"};
  expect_refusal(value, "merge 1 needs 'lx'");
  value["model"]["merges"] = {"h e", "h e"};
  expect_refusal(value, "twice");
  for (const char* merge : {"he", " he", "he ", "h  e", ""}) {
    value["model"]["merges"] = {merge};
    expect_refusal(value, "merge 0");
  }
  value["model"]["merges"] = json::parse(R"([["h", "e", "l"]])");
  expect_refusal(value, "3 tokens");
  value["model"]["merges"] = json::parse(R"([["h", 5]])");
  expect_refusal(value, "expected a string");
  value["model"].erase("merges");
  expect_refusal(value, "no merges");
}

TEST(TokenizerJson, AMergeCannotMakeASpecialToken) {
  json value = small();
  value["model"]["vocab"]["<s"] = 262;
  value["model"]["merges"] = {"< s", "<s >"};
  expect_refusal(value, "'<s>'");
}

TEST(TokenizerJson, RefusesWhatItDoesNotDo) {
  json value = small();
  value["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "[a-z]+";
  expect_refusal(value, "[a-z]+");
  value = small();
  value["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true;
  expect_refusal(value, "add_prefix_space");
  value = small();
  value["pre_tokenizer"] = nullptr;
  expect_refusal(value, "ByteLevel");
  value = small();
  value["normalizer"] = {{"type", "Lowercase"}};
  expect_refusal(value, "Lowercase");
  value = small();
  value["model"]["type"] = "Unigram";
  expect_refusal(value, "Unigram");
  value = small();
  value["model"]["byte_fallback"] = true;
  expect_refusal(value, "byte_fallback");
  value = small();
  value["added_tokens"][0]["lstrip"] = true;
  expect_refusal(value, "lstrip");
}

TEST(TokenizerJson, RefusesBrokenText) {
  const std::string whole = small().dump();
  for (size_t length = 0; length < whole.size(); length += 7) {
    EXPECT_FALSE(refusal(whole.substr(0, length)).empty());
  }
  EXPECT_NE(refusal(whole + "x").find("follows"), std::string::npos);
  EXPECT_NE(refusal("{\"a\": " + std::string(100000, '[')).find("64"), std::string::npos);
  EXPECT_NE(refusal("{\"model\": {\"type\": \"B\\ud800\"}}").find("surrogate"), std::string::npos);
}

TEST(TokenizerJson, NamesTheFile) {
  try {
    Tokenizer::from_json("/nonexistent/tokenizer.json", "");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::file);
    EXPECT_NE(std::string(error.what()).find("/nonexistent/tokenizer.json"), std::string::npos);
  }
}

}  // namespace
}  // namespace hadal::tokenizer
