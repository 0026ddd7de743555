// Answers of the engine under a grammar.
#include <limits>

#include <gtest/gtest.h>

#include "grammar/gbnf.h"
#include "grammar/json_mode.h"
#include "unit/infer/tiny_engine.h"

namespace hadal::infer {
namespace {

using testing::Answer;
using testing::answer_all;
using testing::tiny_first_text;
using testing::tiny_request;
using testing::tiny_think;
using testing::tiny_think_end;

class ConstraintTest : public ::testing::Test {
 protected:
  static const LoadedModel& loaded() {
    static const LoadedModel model = testing::tiny_loaded();
    return model;
  }
  static EngineOptions options() {
    EngineOptions small;
    small.context_tokens = 256;
    small.cache_tokens = 4096;
    return small;
  }
  std::shared_ptr<const grammar::Constraint> rules(std::string_view text) {
    return std::make_shared<grammar::Constraint>(grammar::parse_gbnf(text), engine_.vocabulary());
  }
  ThreadPool pool_{2};
  Engine engine_{loaded(), pool_, options()};
};

TEST_F(ConstraintTest, AnswersFollowTheGrammarGreedyAndDrawnAloneAndTogether) {
  const auto constraint = rules(R"(root ::= "[" [a-c]{2,5} ("," [0-9]+)? "]")");
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 12; ++i) {
    Request request = tiny_request(i, 20, 60);
    request.sampling.temperature = i % 3 == 0 ? 0 : 1.5;
    request.stream = i;
    request.constraint = constraint;
    requests.push_back(request);
  }
  const std::vector<Answer> together = answer_all(engine_, requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    const Answer& a = together[i];
    grammar::Matcher matcher(constraint);
    EXPECT_TRUE(matcher.accept_text(a.text)) << a.text;
    if (a.reason == FinishReason::stop)
      EXPECT_TRUE(matcher.must_end()) << a.text;
    else
      EXPECT_EQ(a.reason, FinishReason::length) << a.message;
    EXPECT_TRUE(answer_all(engine_, {requests[i]}).front() == a) << a.text;
  }
}

TEST_F(ConstraintTest, TheEndIsAllowedOnlyWhereTheGrammarIsSatisfied) {
  Request request = tiny_request(1, 20, 40);
  request.sampling.logit_bias = {{testing::tiny_eos, 100.0f}};
  request.constraint = rules(R"(root ::= "abc" "d"*)");
  const Answer a = answer_all(engine_, {request}).front();
  EXPECT_EQ(a.text, "abc");
  EXPECT_EQ(a.reason, FinishReason::stop);
  request.ignore_eos = true;
  request.max_tokens = 10;
  EXPECT_EQ(answer_all(engine_, {request}).front().text, "abcddddddd");
}

TEST_F(ConstraintTest, TheThoughtIsFreeAndTheAnswerFollowsIt) {
  Request request = tiny_request(2, 20, 80);
  request.sampling.temperature = 1;
  request.thinking.starts_inside = true;
  request.thinking.open_id = tiny_think;
  request.thinking.close_id = tiny_think_end;
  request.thinking.close = {tiny_think_end, tiny_first_text + '\n'};
  request.constraint = rules(R"(root ::= "yes" | "no")");
  request.thinking.budget = 7;
  const auto answer_of = [](const std::string& text) { return text.substr(text.rfind('\n') + 1); };
  Answer a = answer_all(engine_, {request}).front();
  EXPECT_TRUE(answer_of(a.text) == "yes" || answer_of(a.text) == "no") << a.text;
  EXPECT_EQ(a.stats.reasoning_tokens, 7);
  EXPECT_EQ(a.reason, FinishReason::stop);
  // It ends its thought itself: what follows in the form is forced, then comes the answer.
  request.thinking.budget = -1;
  request.sampling.logit_bias = {{tiny_think_end, 100.0f}, {testing::tiny_eos, 200.0f}};
  a = answer_all(engine_, {request}).front();
  EXPECT_TRUE(a.text == "\nyes" || a.text == "\nno") << a.text;
}

TEST_F(ConstraintTest, AnAnswerThatCannotGoOnIsAnError) {
  Request request = tiny_request(3, 20, 40);
  request.constraint = rules(R"(root ::= "ab")");
  request.sampling.logit_bias = {{tiny_first_text + 'b', -std::numeric_limits<float>::infinity()}};
  const Answer a = answer_all(engine_, {request}).front();
  EXPECT_EQ(a.reason, FinishReason::error);
  EXPECT_NE(a.message.find("grammar"), std::string::npos) << a.message;
}

TEST_F(ConstraintTest, JsonModeOfARandomModel) {
  const auto constraint =
      std::make_shared<grammar::Constraint>(grammar::json_object_grammar(), engine_.vocabulary());
  for (uint64_t seed = 0; seed < 6; ++seed) {
    Request request = tiny_request(seed, 10, 100);
    request.sampling.temperature = 2;
    request.constraint = constraint;
    const Answer a = answer_all(engine_, {request}).front();
    ASSERT_FALSE(a.text.empty());
    EXPECT_EQ(a.text.front(), '{');
    EXPECT_NE(a.reason, FinishReason::error) << a.message;
  }
}

}  // namespace
}  // namespace hadal::infer
