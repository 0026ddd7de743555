// hadal tokenize and hadal template, on the tokenizer files of the tree.
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/token_text.h"
#include "unit/cli/settings_fixture.h"

namespace hadal::cli {
namespace {

using nlohmann::json;
using TextCommandsTest = SettingsFixture;

std::string seed() {
  return HADAL_SOURCE_DIR "/tests/golden/data/tokenizers/seed.json";
}

TEST_F(TextCommandsTest, TokenizeShowsTokens) {
  const Outcome outcome = run({"tokenize", seed(), "Hello"});
  EXPECT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(outcome.out, "    705  \"Hello\"\n");
  EXPECT_EQ(outcome.err, "1 token, 5 bytes\n");
}

TEST_F(TextCommandsTest, TokenizeKnowsSpecialTokensOnlyWhenAsked) {
  EXPECT_EQ(json::parse(run({"tokenize", seed(), "a<think>", "--json"}).out)["ids"],
            json({71, 34, 396, 547, 36}));
  EXPECT_EQ(json::parse(run({"tokenize", seed(), "a<think>", "--json", "--special"}).out)["ids"],
            json({71, 5}));
}

TEST_F(TextCommandsTest, TokenizeLines) {
  const std::string lines = (folder_ / "lines.jsonl").string();
  std::ofstream(lines) << R"({"text": "Hello"})" << "\n" << R"({"text": ""})" << "\n";
  EXPECT_EQ(run({"tokenize", seed(), lines, "--jsonl"}).out, "{\"ids\":[705]}\n{\"ids\":[]}\n");
  std::ofstream(lines, std::ios::app) << "{}\n";
  const Outcome outcome = run({"tokenize", seed(), lines, "--jsonl"});
  EXPECT_EQ(outcome.code, kExitFailure);
  EXPECT_NE(outcome.err.find("line 3"), std::string::npos) << outcome.err;
}

TEST_F(TextCommandsTest, TemplateOfAPrompt) {
  const std::vector<std::string> command = {"template",         seed(),         "--prompt",
                                            "Hello <｜User｜>", "--generation", "v3"};
  EXPECT_EQ(run(command).out, "<｜begin▁of▁sentence｜><｜User｜>Hello <｜User｜><｜Assistant｜>\n");
  std::vector<std::string> as_json = command;
  as_json.emplace_back("--json");
  const auto ids = json::parse(run(as_json).out)["ids"].get<std::vector<int>>();
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 3), 1) << "the spelt <｜User｜> must stay text";
  std::vector<std::string> thinking = command;
  thinking.insert(thinking.end(), {"--thinking", "on"});
  EXPECT_EQ(run(thinking).code, kExitUsage);
}

TEST_F(TextCommandsTest, TemplateOfADialogue) {
  const std::string file = (folder_ / "dialogue.json").string();
  std::ofstream(file) << R"([{"role": "user", "content": "Hi"},
                             {"role": "assistant", "content": "Yo"},
                             {"role": "user", "content": "Go"}])";
  const Outcome outcome =
      run({"template", seed(), file, "--generation", "v3", "--system", "Be kind."});
  EXPECT_EQ(outcome.out,
            "<｜begin▁of▁sentence｜>Be kind.<｜User｜>Hi<｜Assistant｜>Yo<｜end▁of▁sentence｜>"
            "<｜User｜>Go<｜Assistant｜>\n");
  EXPECT_EQ(run({"template", seed(), file, "--prompt", "x"}).code, kExitUsage);
  EXPECT_EQ(run({"template", seed(), file, "--generation", "v99"}).code, kExitUsage);
}

TEST(TokenText, QuotesWhatDoesNotPrint) {
  EXPECT_EQ(quoted_token("a\n\t\r\"\\\x01\x7F"), R"("a\n\t\r\"\\\x01\x7F")");
  EXPECT_EQ(quoted_token("深\xE6\xB7\u0085"), "\"深\\xE6\\xB7\\u0085\"");
}

}  // namespace
}  // namespace hadal::cli
