// The published test vectors, with the published vocabularies. They are no part of the tree:
// HADAL_DATA and HADAL_GOLDENS say where they are; without them these tests skip.
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <zstd.h>

#include "golden/reference_data.h"
#include "infer/tokenizer_file.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_json.h"

namespace hadal::tokenizer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string read_zst(const fs::path& path) {
  const std::string packed = hadal::testing::read_whole(path);
  const unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) {
    throw std::runtime_error("not a zstd file with its size: " + path.string());
  }
  std::string out(size, '\0');
  const size_t got = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) != 0 || got != out.size()) {
    throw std::runtime_error("broken zstd file: " + path.string());
  }
  return out;
}

std::optional<fs::path> tokenizers_folder() {
  const auto data = hadal::testing::full_data();
  return data && fs::is_directory(*data / "tokenizers") ? std::optional(*data / "tokenizers")
                                                        : std::nullopt;
}

Tokenizer deepseek_v3(const fs::path& folder) {
  const auto file = parse_tokenizer_json(read_zst(folder / "deepseek-v3" / "tokenizer.json.zst"),
                                         "", "deepseek-v3/tokenizer.json");
  return Tokenizer::from_parts(file.parts, "deepseek-v3");
}

Tokenizer qwen2(const fs::path& folder) {
  const json vocabulary = json::parse(read_zst(folder / "qwen2" / "vocab.json.zst"));
  std::istringstream merges(read_zst(folder / "qwen2" / "merges.txt.zst"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(merges, line);) {
    if (!line.empty() && !line.starts_with("#version")) {
      lines.push_back(line);
    }
  }
  std::vector<std::string> tokens(vocabulary.size());
  for (const auto& [token, id] : vocabulary.items()) {
    tokens.at(id.get<size_t>()) = token;
  }
  TokenizerParts parts;
  parts.pre = "qwen2";
  parts.tokens.assign(tokens.begin(), tokens.end());
  parts.merges.assign(lines.begin(), lines.end());
  return Tokenizer::from_parts(parts, "qwen2");
}

// llama.cpp's form: texts between marker lines, and one line of ids for each.
void check_vectors(const Tokenizer& tokenizer, const fs::path& stem) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  const std::string texts = hadal::testing::read_whole(stem.string() + ".inp");
  std::istringstream expected(hadal::testing::read_whole(stem.string() + ".out"));
  int count = 0;
  for (size_t begin = 0; begin < texts.size(); ++count) {
    const size_t end = texts.find(kSeparator, begin);
    if (end == std::string::npos) {
      break;
    }
    const std::string text = texts.substr(begin, end - begin);
    begin = end + kSeparator.size();
    std::string line;
    std::getline(expected, line);
    std::istringstream numbers(line);
    std::vector<int32_t> ids;
    for (int32_t id; numbers >> id;) {
      ids.push_back(id);
    }
    EXPECT_EQ(tokenizer.encode(text), ids) << stem << ": " << text;
    if (!tokenizer.nfc()) {
      EXPECT_EQ(tokenizer.decode(ids), text) << stem;
    }
  }
  EXPECT_GE(count, 40) << stem;
}

TEST(TokenizerVectors, GgufVocabularies) {
  const auto folder = tokenizers_folder();
  if (!folder) {
    GTEST_SKIP() << "HADAL_DATA names no folder with tokenizers";
  }
  for (const char* name : {"deepseek-llm", "deepseek-coder", "gpt-2"}) {
    const fs::path path = *folder / (std::string("ggml-vocab-") + name + ".gguf");
    const auto source = infer::open_tokenizer(path.string());
    EXPECT_EQ(source.tokenizer.pre(), name);
    check_vectors(source.tokenizer, path);
  }
}

TEST(TokenizerVectors, DeepseekV3) {
  const auto folder = tokenizers_folder();
  if (!folder) {
    GTEST_SKIP() << "HADAL_DATA names no folder with tokenizers";
  }
  check_vectors(deepseek_v3(*folder), *folder / "deepseek-v3" / "deepseek-v3");
}

TEST(TokenizerVectors, Qwen2) {
  const auto folder = tokenizers_folder();
  if (!folder) {
    GTEST_SKIP() << "HADAL_DATA names no folder with tokenizers";
  }
  const Tokenizer tokenizer = qwen2(*folder);
  check_vectors(tokenizer, *folder / "ggml-vocab-qwen2.gguf");
  check_vectors(tokenizer, *folder / "ggml-vocab-deepseek-r1-qwen.gguf");
}

TEST(TokenizerVectors, GoldenTexts) {
  const auto folder = tokenizers_folder();
  const auto goldens = hadal::testing::full_goldens();
  if (!folder || !goldens) {
    GTEST_SKIP() << "HADAL_DATA and HADAL_GOLDENS name no folders with tokenizers and texts";
  }
  const Tokenizer tokenizers[] = {deepseek_v3(*folder), qwen2(*folder)};
  const std::string names[] = {"deepseek-v3", "qwen2"};
  std::istringstream lines(hadal::testing::read_whole(*goldens / "text" / "tokens.jsonl"));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const json value = json::parse(line);
    const std::string text = value["text"];
    for (size_t i = 0; i < 2; ++i) {
      const auto plain = value[names[i]].get<std::vector<int32_t>>();
      ASSERT_EQ(tokenizers[i].encode(text), plain) << text;
      const std::string special = names[i] + " special";
      if (value.contains(special)) {
        ASSERT_EQ(tokenizers[i].encode_with_special(text),
                  value[special].get<std::vector<int32_t>>())
            << text;
      }
    }
  }
  EXPECT_EQ(count, 600);
}

}  // namespace
}  // namespace hadal::tokenizer
