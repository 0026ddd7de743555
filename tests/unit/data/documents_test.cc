// Files of documents, plain and packed; what is broken is refused by file and line.
#include "data/documents.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zstd.h>

#include "data/bpe_trainer.h"
#include "data/encode.h"
#include "files.h"

namespace hadal::data {
namespace {

using testing::error_of;
using testing::ScratchFolder;

std::string packed(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::vector<Document> documents_of(const std::string& path) {
  std::vector<Document> out;
  read_documents(path, [&](Document& document) { out.push_back(std::move(document)); });
  return out;
}

constexpr const char* kLines =
    "{\"text\": \"One.\\nTwo.\", \"source\": \"s\"}\n"
    "\n"
    "{\"messages\": [{\"role\": \"user\", \"content\": \"2+2?\"}, {\"role\": \"assistant\", "
    "\"content\": \"4\", \"reasoning_content\": \"two and two\"}]}\r\n"
    "{\"question\": \"3+4?\", \"answer\": \"3 and 4 are 7\", \"final\": \"7\"}\n"
    "{\"question\": \"Why?\", \"answer\": \"Because.\"}";

TEST(Documents, ReadsJsonLinesPlainAndPacked) {
  const ScratchFolder folder;
  for (const bool is_packed : {false, true}) {
    const std::string path =
        is_packed ? folder.write("a.jsonl.zst", packed(kLines)) : folder.write("a.jsonl", kLines);
    const std::vector<Document> documents = documents_of(path);
    ASSERT_EQ(documents.size(), 4u);
    EXPECT_EQ(documents[0].text, "One.\nTwo.");
    const auto& sum = documents[1].dialogue->messages;
    EXPECT_EQ(sum[1].content, "4");
    EXPECT_EQ(sum[1].reasoning_content, "two and two");
    const auto& worked = documents[2].dialogue->messages;
    EXPECT_EQ(worked[1].reasoning_content, "3 and 4 are 7");
    EXPECT_EQ(worked[1].content, "7");
    EXPECT_EQ(documents[3].dialogue->messages[1].content, "Because.");
  }
}

TEST(Documents, ReadsLongPackedLinesWhole) {
  const ScratchFolder folder;
  std::string lines;
  for (int i = 0; i < 5; ++i) {
    lines += "{\"text\": \"" + std::string(700000, static_cast<char>('a' + i)) + "\"}\n";
  }
  const std::vector<Document> documents = documents_of(folder.write("a.jsonl.zst", packed(lines)));
  ASSERT_EQ(documents.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(documents[i].text, std::string(700000, static_cast<char>('a' + i)));
  }
  EXPECT_EQ(documents_of(folder.write("b.txt", "all\nof it\n"))[0].text, "all\nof it\n");
}

TEST(Documents, RefusesByFileAndLine) {
  const ScratchFolder folder;
  const auto error = [&](const std::string& name, const std::string& content) {
    const std::string path = folder.write(name, content);
    return error_of([&] { documents_of(path); });
  };
  const std::string good = "{\"text\": \"a\"}\n";
  EXPECT_NE(error("a.jsonl", good + "{\"text\": ").find("a.jsonl:2"), std::string::npos);
  EXPECT_NE(error("a.jsonl", good + good + "[1]").find("a.jsonl:3"), std::string::npos);
  EXPECT_NE(error("a.jsonl", "{\"text\": 5}").find("must be a string"), std::string::npos);
  EXPECT_NE(error("a.jsonl", "{\"body\": \"x\"}").find("no \"text\""), std::string::npos);
  EXPECT_NE(error("a.jsonl", "{\"question\": \"x\"}").find("neither"), std::string::npos);
  EXPECT_NE(error("a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}")
                .find("does not end with an assistant"),
            std::string::npos);
  EXPECT_NE(error("a.jsonl", "{\"text\": " + std::string(100, '[')), "");
  EXPECT_NE(error("a.csv", "x").find("a.csv"), std::string::npos);
  const std::string whole = packed(good + good);
  EXPECT_NE(error("c.jsonl.zst", whole.substr(0, whole.size() - 3)).find("too early"),
            std::string::npos);
  EXPECT_NE(error("c.jsonl.zst", "no zstd at all").find("damaged"), std::string::npos);
}

TEST(Documents, HoldsOutOneInAHundred) {
  int held_out = 0;
  for (int i = 0; i < 20000; ++i) {
    const Document document{"text " + std::to_string(i), {}};
    EXPECT_NE(in_part(document, Part::train), in_part(document, Part::held_out));
    held_out += in_part(document, Part::held_out) ? 1 : 0;
  }
  EXPECT_NEAR(held_out, 200, 60);
}

// Ids as the text they spell, and what is learnt of it.
struct Spelt {
  std::string all, learnt;
};
Spelt spelt(const tokenizer::Tokenizer& tokenizer, const std::string& json,
            const EncodeRules& rules) {
  const Encoded encoded = encode_document(tokenizer, parse_record(json, "test"), rules);
  Spelt out{tokenizer.decode(encoded.ids), {}};
  for (size_t i = 0; i < encoded.ids.size(); ++i) {
    if (encoded.learnt.empty() || encoded.learnt[i] != 0) {
      out.learnt += tokenizer.token_bytes(encoded.ids[i]);
    }
  }
  return out;
}

constexpr const char* kBos = "<｜begin▁of▁sentence｜>";
constexpr const char* kEos = "<｜end▁of▁sentence｜>";

TEST(Encode, LearnsAnswersAndTheirThoughtsAlone) {
  const ScratchFolder folder;
  const TokenizerText files = tokenizer_text({}, 512);
  const tokenizer::Tokenizer tokenizer =
      tokenizer::Tokenizer::from_json(folder.write("tokenizer.json", files.tokenizer_json),
                                      folder.write("config.json", files.config_json));
  const auto text = [&](const std::string& json, bool all = false,
                        tokenizer::Generation generation = tokenizer::Generation::v31) {
    return spelt(tokenizer, json, {generation, all});
  };
  const Spelt prose = text(R"({"text": "Hi <think>"})");
  EXPECT_EQ(prose.all, std::string(kBos) + "Hi <think>" + kEos);
  EXPECT_EQ(prose.learnt, prose.all);
  const std::string sum = R"({"question": "2+2?", "answer": "two twos", "final": "4"})";
  EXPECT_EQ(text(sum).all,
            std::string(kBos) + "<｜User｜>2+2?<｜Assistant｜><think>two twos</think>4" + kEos);
  EXPECT_EQ(text(sum).learnt, std::string("two twos</think>4") + kEos);
  EXPECT_EQ(text(sum, true).learnt, text(sum).all);
  EXPECT_EQ(text(sum, false, tokenizer::Generation::r1).learnt,
            std::string("two twos\n</think>\n\n4") + kEos);
  EXPECT_EQ(text(sum, false, tokenizer::Generation::v3).learnt, std::string("4") + kEos);
  const std::string chat =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
          {"role": "user", "content": "c"}, {"role": "assistant", "content": "d",
          "reasoning_content": "r"}, {"role": "user", "content": "e"},
          {"role": "assistant", "content": "f", "reasoning_content": "s"}]})";
  EXPECT_EQ(text(chat).learnt, std::string("b") + kEos + "s</think>f" + kEos);
}

TEST(Encode, AnswersWithoutThoughtsInBothModes) {
  const ScratchFolder folder;
  const TokenizerText files = tokenizer_text({}, 512);
  const tokenizer::Tokenizer tokenizer =
      tokenizer::Tokenizer::from_json(folder.write("tokenizer.json", files.tokenizer_json),
                                      folder.write("config.json", files.config_json));
  int thinking = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string n = std::to_string(i);
    const Spelt out = spelt(tokenizer, R"({"question": "q", "answer": "a)" + n + "\"}", {});
    const bool is_thinking = out.all.find("<think></think>a") != std::string::npos;
    thinking += is_thinking ? 1 : 0;
    EXPECT_EQ(out.learnt, (is_thinking ? "</think>a" : "a") + n + kEos);
  }
  EXPECT_NEAR(thinking, 100, 40);
}

}  // namespace
}  // namespace hadal::data
