// hadal run as a user meets it, on the bundled model.
#include <algorithm>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "e2e/process.h"
#include "e2e/test_model.h"

namespace hadal::e2e {
namespace {

using RunTest = ModelTest;

TEST_F(RunTest, AnswersOnce) {
  const Outcome outcome = run_program({"run", model_, "What is 7 + 5?"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("12"), std::string::npos) << outcome.out;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1);
  EXPECT_EQ(outcome.err, "");  // no terminal: no statistics unless wanted
}

TEST_F(RunTest, StatisticsOnStderr) {
  const Outcome outcome = run_program({"run", model_, "What is 7 + 5?", "--stats"});
  EXPECT_NE(outcome.err.find("prompt tokens"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("peak memory"), std::string::npos) << outcome.err;
}

TEST_F(RunTest, TakesThePromptFromAPipe) {
  const Outcome alone = run_program({"run", model_}, "What is 7 + 5?\n");
  EXPECT_EQ(alone.code, 0) << alone.err;
  EXPECT_NE(alone.out.find("12"), std::string::npos) << alone.out;
  EXPECT_EQ(run_program({"run", model_, "What is"}, "7 + 5?\n").code, 0);
  const Outcome empty = run_program({"run", model_}, "\n");
  EXPECT_EQ(empty.code, 2);
  EXPECT_NE(empty.err.find("prompt is empty"), std::string::npos) << empty.err;
}

TEST_F(RunTest, TheSameSeedGivesTheSameAnswer) {
  const std::vector<std::string> arguments = {
      "run", model_, "Tell me a story.", "--temp", "1", "--seed", "7", "-n", "24"};
  const Outcome first = run_program(arguments);
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, run_program(arguments).out);
}

TEST_F(RunTest, JsonIsOneObject) {
  const Outcome outcome = run_program({"run", model_, "What is 7 + 5?", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_NE(json["answer"].get<std::string>().find("12"), std::string::npos);
  EXPECT_EQ(json["finish_reason"], "stop");
  EXPECT_GT(json["usage"]["prompt_tokens"], 0);
  EXPECT_GT(json["usage"]["completion_tokens"], 0);
  EXPECT_GT(json["timings"]["prompt_ms"], 0);
}

TEST_F(RunTest, StopAndLengthEndAnAnswer) {
  auto json = nlohmann::json::parse(
      run_program({"run", model_, "Tell me a story.", "--json", "-n", "5"}).out);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["completion_tokens"], 5);
  json = nlohmann::json::parse(
      run_program({"run", model_, "What is 7 + 5?", "--json", "--stop", "12"}).out);
  EXPECT_EQ(json["answer"].get<std::string>().find("12"), std::string::npos);
}

TEST_F(RunTest, WrongUseSaysWhatIsWrong) {
  Outcome outcome = run_program({"run", model_, "Hi", "--temperatur", "1"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("did you mean '--temperature'?"), std::string::npos) << outcome.err;
  outcome = run_program({"run", "/no/such/model.gguf", "Hi"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("/no/such/model.gguf"), std::string::npos) << outcome.err;
  outcome = run_program({"run", "Hi"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("hadal run -p 'Hi'"), std::string::npos) << outcome.err;
  EXPECT_EQ(run_program({"run", model_, "-p", "Hi"}).code, 0);
  EXPECT_EQ(run_program({"run", model_, "Hi", "--top-p", "7"}).code, 2);
  EXPECT_EQ(run_program({"run", model_, "Hi", "--think", "on"}).code, 2);
  outcome = run_program({"run", model_, "Hi", "--json", "--top-p", "7"});
  EXPECT_EQ(nlohmann::json::parse(outcome.err)["error"]["kind"], "usage");
  EXPECT_EQ(outcome.out, "");
}

TEST_F(RunTest, APromptOverTheContextIsAnErrorWithBothNumbers) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "one ";
  const Outcome outcome = run_program({"run", model_, "-c", "256"}, text);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("256"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("300"), std::string::npos) << outcome.err;  // 3,00x tokens
}

TEST_F(RunTest, InterruptEndsWith130) {
  const Outcome outcome =
      run_program({"run", model_, "Tell me a story.", "--temp", "5", "--seed", "1"}, "", 1);
  EXPECT_EQ(outcome.code, 130);  // so hot an answer goes on to the end of the context
  EXPECT_EQ(outcome.err, "hadal: interrupted\n");
}

TEST_F(RunTest, ListsAndNamesTheModel) {
  setenv("HADAL_MODELS", std::filesystem::path(model_).parent_path().c_str(), 1);
  const Outcome outcome = run_program({"list", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto models = nlohmann::json::parse(outcome.out);
  ASSERT_FALSE(models.empty());
  const std::string name = std::filesystem::path(model_).stem();
  EXPECT_EQ(run_program({"run", name, "Hi"}).code, 0);
  const Outcome wrong = run_program({"run", name + "x", "Hi"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_NE(wrong.err.find(name), std::string::npos) << wrong.err;
  unsetenv("HADAL_MODELS");
}

}  // namespace
}  // namespace hadal::e2e
