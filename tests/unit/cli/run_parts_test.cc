#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/chat_file.h"
#include "cli/run_prompt.h"
#include "cli/slash_command.h"
#include "infer/sampling_defaults.h"

namespace hadal::cli {
namespace {

TEST(SlashCommand, Parses) {
  EXPECT_FALSE(parse_slash("What is 7 / 5?"));
  EXPECT_FALSE(parse_slash(" /reset"));
  EXPECT_FALSE(parse_slash("/etc/hosts says what?"));
  EXPECT_EQ(parse_slash("/reset")->kind, SlashKind::reset);
  const auto system = parse_slash("/system  Be brief. \n");
  EXPECT_EQ(system->kind, SlashKind::system);
  EXPECT_EQ(system->argument, "Be brief.");
  EXPECT_EQ(parse_slash("/save! x.json")->kind, SlashKind::save_over);
  EXPECT_EQ(parse_slash("/rest")->kind, SlashKind::unknown);
  EXPECT_EQ(parse_slash("/")->kind, SlashKind::unknown);
}

TEST(RunPrompt, JoinsWordsAndPipe) {
  EXPECT_EQ(join_prompt({"explain", "this"}, ""), "explain this");
  EXPECT_EQ(join_prompt({}, "text"), "text");
  EXPECT_EQ(join_prompt({"explain"}, "text"), "explain\n\ntext");
  EXPECT_EQ(join_prompt({}, ""), "");
}

TEST(RunPrompt, ALoneSentenceIsNoModel) {
  RunOptions options;
  options.model = "What is 7 + 5?";
  separate_prompt(options);
  EXPECT_EQ(options.model, "");
  EXPECT_EQ(options.prompt, std::vector<std::string>{"What is 7 + 5?"});

  options = {};
  options.model = "seed";
  separate_prompt(options);
  EXPECT_EQ(options.model, "seed");

  options = {};
  options.model = "my model";
  options.prompt = {"Hi"};
  separate_prompt(options);
  EXPECT_EQ(options.model, "my model");
}

TEST(RunPrompt, ReadsAPipeWhole) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "one\ntwo\n\n", 9), 9);
  close(ends[1]);
  EXPECT_EQ(read_piped_text(ends[0]), "one\ntwo");
  close(ends[0]);
}

TEST(SamplingDefaults, ReadGenerationConfig) {
  infer::SamplingParams params;
  infer::read_generation_config(R"({"temperature": 0.6, "top_p": 0.95, "top_k": "many"})", "f",
                                params);
  EXPECT_EQ(params.temperature, 0.6);
  EXPECT_EQ(params.top_p, 0.95);
  EXPECT_EQ(params.top_k, 0);
  infer::read_generation_config(R"({"do_sample": false, "temperature": 0.6})", "f", params);
  EXPECT_EQ(params.temperature, 0);
  EXPECT_THROW(infer::read_generation_config("[1]", "f", params), Error);
  EXPECT_THROW(infer::read_generation_config("{", "f", params), Error);
}

class ChatFile : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "/hadal_chat_" + std::to_string(getpid()) + ".json";
  }
  void TearDown() override { std::filesystem::remove(path_); }

  static tokenizer::Dialogue dialogue() {
    tokenizer::Dialogue out;
    out.messages.resize(3);
    out.messages[0].role = tokenizer::Role::system;
    out.messages[0].content = "Be brief.";
    out.messages[1].content = "<｜User｜> \"é\"\n";
    out.messages[2].role = tokenizer::Role::assistant;
    out.messages[2].content = "12";
    out.messages[2].reasoning_content = "7 + 5";
    out.messages[2].tool_calls = {{"c1", "add", "{\"a\": 7}"}};
    return out;
  }

  std::string path_;
};

TEST_F(ChatFile, SavesAndLoads) {
  save_chat(path_, dialogue(), "seed", false);
  struct stat status = {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  const tokenizer::Dialogue loaded = load_chat(path_);
  ASSERT_EQ(loaded.messages.size(), 3u);
  const tokenizer::Dialogue expected = dialogue();
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(loaded.messages[i].role, expected.messages[i].role);
    EXPECT_EQ(loaded.messages[i].content, expected.messages[i].content);
    EXPECT_EQ(loaded.messages[i].reasoning_content, expected.messages[i].reasoning_content);
  }
  ASSERT_EQ(loaded.messages[2].tool_calls.size(), 1u);
  EXPECT_EQ(loaded.messages[2].tool_calls[0].name, "add");
}

TEST_F(ChatFile, OverwritesOnlyWhenTold) {
  save_chat(path_, dialogue(), "seed", false);
  EXPECT_THROW(save_chat(path_, {}, "seed", false), Error);
  EXPECT_EQ(load_chat(path_).messages.size(), 3u);
  save_chat(path_, {}, "seed", true);
  EXPECT_EQ(load_chat(path_).messages.size(), 0u);
  // No half-written files are left behind.
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  const std::string name = std::filesystem::path(path_).filename();
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string found = entry.path().filename();
    EXPECT_TRUE(found == name || !found.starts_with(name)) << found;
  }
}

TEST_F(ChatFile, RefusesOtherFiles) {
  EXPECT_THROW(load_chat(path_), Error);
  std::ofstream(path_) << "{\"messages\": 7}";
  EXPECT_THROW(load_chat(path_), Error);
  std::ofstream(path_) << "GGUF";
  EXPECT_THROW(load_chat(path_), Error);
  EXPECT_THROW(save_chat("/nonexistent/folder/x.json", {}, "seed", false), Error);
}

}  // namespace
}  // namespace hadal::cli
