#include "infer/engine.h"

#include <thread>

#include <gtest/gtest.h>

#include "base/error.h"
#include "unit/infer/tiny_engine.h"

namespace hadal::infer {
namespace {

using testing::Answer;
using testing::answer_all;
using testing::tiny_eos;
using testing::tiny_first_text;
using testing::tiny_request;
using testing::tiny_think;
using testing::tiny_think_end;
using testing::tiny_tokens;

EngineOptions small() {
  EngineOptions options;
  options.context_tokens = 256;
  options.cache_tokens = 2048;
  options.step_tokens = 128;
  return options;
}

class EngineTest : public ::testing::Test {
 protected:
  // Engines share one model; it is const.
  static const LoadedModel& loaded() {
    static const LoadedModel model = testing::tiny_loaded();
    return model;
  }
  Answer answer(const Request& request) { return answer_all(engine_, {request}).front(); }
  template <typename F>
  static std::string message(F&& f) {
    try {
      f();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  ThreadPool pool_{1};
  Engine engine_{loaded(), pool_, small()};
};

TEST_F(EngineTest, MaxTokensAndContextEndAnAnswer) {
  Request request = tiny_request(1, 20, 7);
  request.ignore_eos = true;
  const Answer a = answer(request);
  EXPECT_EQ(a.reason, FinishReason::length);
  EXPECT_EQ(a.tokens.size(), 7u);
  EXPECT_EQ(a.stats.prompt_tokens, 20);
  EXPECT_EQ(a.stats.generated_tokens, 7);
  request.max_tokens = -1;
  request.prompt = tiny_tokens(1, 250);
  EXPECT_EQ(answer(request).tokens.size(), 6u) << "until the context is full";
  request.max_tokens = 1000;
  EXPECT_EQ(answer(request).tokens.size(), 6u);
}

TEST_F(EngineTest, ImpossibleRequestsAreRefusedAtOnce) {
  const auto refused = [&](void (*change)(Request&)) {
    Request request = tiny_request(1, 20, 5);
    change(request);
    return message([&] { engine_.submit(request); });
  };
  const std::string limit = refused([](Request& r) { r.prompt = tiny_tokens(1, 256); });
  EXPECT_NE(limit.find("256 tokens"), std::string::npos) << limit;
  EXPECT_NE(limit.find("context holds 256"), std::string::npos) << limit;
  EXPECT_NE(refused([](Request& r) { r.prompt.clear(); }).find("empty"), std::string::npos);
  EXPECT_NE(refused([](Request& r) { r.prompt[3] = 260; }).find("260"), std::string::npos);
  EXPECT_NE(refused([](Request& r) { r.prompt[3] = -1; }).find("-1"), std::string::npos);
  EXPECT_NE(refused([](Request& r) { r.max_tokens = 0; }).find("max_tokens"), std::string::npos);
  EXPECT_NE(refused([](Request& r) { r.stop = {""}; }).find("stop string"), std::string::npos);
  EXPECT_NE(refused([](Request& r) { r.sampling.top_p = 7; }).find("top_p"), std::string::npos);
  EXPECT_NE(refused([](Request& r) { r.thinking.close = {500}; }).find("500"), std::string::npos);
  EXPECT_TRUE(engine_.idle());
  EngineOptions options = small();
  options.context_tokens = 1 << 20;
  EXPECT_NE(message([&] { Engine(loaded(), pool_, options); }).find("4096"), std::string::npos);
}

TEST_F(EngineTest, TooManyWaiting) {
  EngineOptions options = small();
  options.sequences_max = 1;
  options.waiting_max = 2;
  Engine engine(loaded(), pool_, options);
  for (int i = 0; i < 3; ++i) engine.submit(tiny_request(1, 5, 2));
  EXPECT_NE(message([&] { engine.submit(tiny_request(1, 5, 2)); }).find("wait already"),
            std::string::npos);
}

TEST_F(EngineTest, StopIdsEndAnAnswerAndAreNotPartOfIt) {
  Request request = tiny_request(4, 20, 60);
  request.ignore_eos = true;
  request.sampling.temperature = 1.5;
  const Answer whole = answer(request);
  ASSERT_EQ(whole.tokens.size(), 60u);
  const int32_t stop = whole.tokens[30];
  const auto first = static_cast<size_t>(std::find(whole.tokens.begin(), whole.tokens.end(), stop) -
                                         whole.tokens.begin());
  request.stop_ids = {stop};
  const Answer cut = answer(request);
  EXPECT_EQ(cut.reason, FinishReason::stop);
  EXPECT_EQ(cut.tokens, std::vector<int32_t>(whole.tokens.begin(),
                                             whole.tokens.begin() + static_cast<int64_t>(first)));
  EXPECT_EQ(cut.stats.generated_tokens, static_cast<int64_t>(first) + 1);
  // The model's own stop, forced by a bias.
  request.stop_ids.clear();
  request.sampling.logit_bias = {{tiny_eos, 100.0f}};
  request.ignore_eos = false;
  EXPECT_EQ(answer(request).reason, FinishReason::stop);
  EXPECT_TRUE(answer(request).tokens.empty());
  request.ignore_eos = true;
  EXPECT_EQ(answer(request).tokens.size(), 60u);
  EXPECT_EQ(answer(request).text, "") << "special tokens have no text";
}

TEST_F(EngineTest, StopStringsCutTheTextAndNothingLeaks) {
  Request request = tiny_request(5, 20, 60);
  request.ignore_eos = true;
  const std::string whole = answer(request).text;
  ASSERT_GT(whole.size(), 40u);
  for (size_t at = 10; at < 30; ++at) {
    const std::string stop = whole.substr(at, 3);
    request.stop = {"never this", stop};
    std::string shown;
    Request copy = request;
    const GenerateResult result = engine_.generate(std::move(copy), [&](const Event& event) {
      shown += event.kind == Event::Kind::finish ? "" : event.text;
      EXPECT_EQ(shown.find(stop), std::string::npos);
      return true;
    });
    EXPECT_EQ(result.text, whole.substr(0, whole.find(stop)));
    EXPECT_EQ(result.text, shown);
    EXPECT_EQ(result.reason, FinishReason::stop);
    EXPECT_EQ(result.stop, stop);
  }
  // What was held back at the end comes after all.
  request.stop = {whole.substr(whole.size() - 2) + "!!"};
  EXPECT_EQ(answer(request).text, whole);
}

TEST_F(EngineTest, TheThinkingBudgetEndsAThought) {
  Request request = tiny_request(6, 20, 40);
  request.ignore_eos = true;
  request.sampling.logit_bias = {{tiny_think_end, -100.0f}, {tiny_think, -100.0f}};
  request.thinking.starts_inside = true;
  request.thinking.open_id = tiny_think;
  request.thinking.close_id = tiny_think_end;
  request.thinking.close = {tiny_think_end, tiny_first_text};
  EXPECT_EQ(answer(request).stats.reasoning_tokens, 40) << "without a budget it thinks on";
  request.thinking.budget = 9;
  std::vector<int32_t> tokens;
  int64_t reasoning = 0;
  const GenerateResult result = engine_.generate(request, [&](const Event& event) {
    reasoning += event.kind == Event::Kind::token && event.reasoning;
    return true;
  });
  ASSERT_EQ(result.tokens.size(), 40u);
  EXPECT_EQ(result.tokens[9], tiny_think_end);
  EXPECT_EQ(result.tokens[10], tiny_first_text);
  EXPECT_EQ(reasoning, 9);
  EXPECT_EQ(result.stats.reasoning_tokens, 9);
  request.thinking.budget = 0;
  EXPECT_EQ(answer(request).tokens[0], tiny_think_end);
  request.thinking.starts_inside = false;
  EXPECT_EQ(answer(request).stats.reasoning_tokens, 0);
}

// Whoever asks for an answer of one paragraph does not want the thought to end at its first.
TEST_F(EngineTest, StopStringsMeanNothingInsideAThought) {
  Request request = tiny_request(6, 20, 60);
  request.ignore_eos = true;
  request.sampling.logit_bias = {{tiny_think_end, -100.0f}, {tiny_think, -100.0f}};
  request.thinking.starts_inside = true;
  request.thinking.close_id = tiny_think_end;
  request.thinking.open_id = tiny_think;
  const int32_t line = tiny_first_text + '\n';
  request.thinking.close = {tiny_think_end, line, line};
  request.thinking.budget = 20;
  const std::string whole = answer(request).text;
  ASSERT_EQ(whole.substr(20, 2), "\n\n");
  request.stop = {whole.substr(8, 3)};
  ASSERT_EQ(whole.find(request.stop[0], 11), std::string::npos);
  EXPECT_EQ(answer(request).text, whole);
  request.stop = {whole.substr(18, 2) + "\n\n", "\n\n"};
  EXPECT_EQ(answer(request).text, whole) << "nor at the blank line behind it";
  request.stop = {"\n" + whole.substr(22, 2)};
  EXPECT_EQ(answer(request).text, whole);
  request.stop = {whole.substr(22, 2)};
  EXPECT_EQ(answer(request).text, whole.substr(0, 22));
  request.thinking.starts_inside = false;
  request.stop = {whole.substr(8, 3)};
  EXPECT_EQ(answer(request).text, whole.substr(0, 8)) << "here it is the answer";
}

TEST_F(EngineTest, PrefixesAreReusedWithinAnOwnerAndCounted) {
  Request request = tiny_request(7, 200, 3);
  EXPECT_EQ(answer(request).stats.cached_tokens, 0);
  const Answer again = answer(request);
  EXPECT_EQ(again.stats.cached_tokens, 192);
  EXPECT_EQ(again.stats.prompt_tokens, 200);
  request.prompt.resize(192);
  EXPECT_EQ(answer(request).stats.cached_tokens, 128) << "the last token is always computed";
  request.prompt[70] ^= 1;
  EXPECT_EQ(answer(request).stats.cached_tokens, 64);
  request.owner = 5;
  EXPECT_EQ(answer(request).stats.cached_tokens, 0);
}

TEST_F(EngineTest, ChoicesOfOnePromptShareItWhileItIsComputed) {
  std::vector<Request> choices(4, tiny_request(8, 200, 12));
  for (size_t i = 0; i < choices.size(); ++i) choices[i].stream = i;
  const std::vector<Answer> answers = answer_all(engine_, choices);
  EXPECT_EQ(answers[0].stats.cached_tokens, 0);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(answers[i].stats.cached_tokens, 192);
    EXPECT_NE(answers[i].tokens, answers[0].tokens);
  }
}

TEST_F(EngineTest, CancelEndsARequestAndFreesItsPages) {
  Request endless = tiny_request(9, 100, -1);
  endless.ignore_eos = true;
  const uint64_t id = engine_.submit(endless);
  const uint64_t waiting = engine_.submit(endless);
  engine_.cancel(waiting);
  Answer first, second;
  for (int i = 0; i < 5; ++i)
    for (const Event& event : engine_.step()) (event.id == id ? first : second).take(event);
  EXPECT_EQ(second.reason, FinishReason::cancelled);
  EXPECT_TRUE(second.tokens.empty());
  engine_.cancel(id);
  for (const Event& event : engine_.step()) first.take(event);
  EXPECT_EQ(first.reason, FinishReason::cancelled);
  EXPECT_FALSE(first.tokens.empty());
  EXPECT_TRUE(engine_.idle());
  EXPECT_EQ(engine_.load().pages_free + engine_.load().pages_kept, engine_.load().pages);
  // By the callback.
  int seen = 0;
  const GenerateResult result = engine_.generate(
      endless, [&](const Event& e) { return e.kind != Event::Kind::token || ++seen < 3; });
  EXPECT_EQ(result.reason, FinishReason::cancelled);
  EXPECT_EQ(result.tokens.size(), 3u);
  // By an exception.
  EXPECT_THROW(engine_.generate(endless, [](const Event&) -> bool { throw 1; }), int);
  engine_.step();
  EXPECT_TRUE(engine_.idle());
}

// Also in the middle of a step; what was computed in vain is computed again.
TEST_F(EngineTest, InterruptsDoNotWaitForTheStep) {
  int asked = 0, interrupt_at = 0;
  EngineOptions options = small();
  options.interrupted = [&] { return interrupt_at > 0 && ++asked >= interrupt_at; };
  Engine engine(loaded(), pool_, options);
  Request request = tiny_request(9, 100, 8);
  request.ignore_eos = true;
  const GenerateResult whole = engine.generate(request);
  request.owner = 1;  // computes the prompt again
  interrupt_at = 2;
  bool progressed = false;
  const GenerateResult none = engine.generate(request, [&](const Event& event) {
    progressed = progressed || event.kind == Event::Kind::progress;
    return true;
  });
  EXPECT_EQ(none.reason, FinishReason::cancelled);
  EXPECT_TRUE(none.tokens.empty());
  EXPECT_FALSE(progressed);
  interrupt_at = 0;
  EXPECT_EQ(engine.generate(request).tokens, whole.tokens);
}

TEST_F(EngineTest, AStepForCancelledRequestsAloneIsAbandoned) {
  Engine* cancels = nullptr;
  uint64_t cancelled = 0;
  EngineOptions options = small();
  options.interrupted = [&] {
    if (cancels != nullptr) cancels->cancel(cancelled);
    return false;
  };
  Engine engine(loaded(), pool_, options);
  const auto progress = [&](const std::vector<Request>& requests) {
    cancels = nullptr;
    for (const Request& request : requests) cancelled = engine.submit(request);
    cancels = &engine;
    int64_t done = 0;
    for (const Event& event : engine.step()) done += event.kind == Event::Kind::progress;
    while (!engine.idle()) engine.step();
    return done;
  };
  EXPECT_EQ(progress({tiny_request(9, 40, 5)}), 0);
  EXPECT_EQ(progress({tiny_request(10, 40, 5), tiny_request(11, 40, 5)}), 2);
}

TEST_F(EngineTest, AFailingRequestLeavesTheOthersAlone) {
  Request impossible = tiny_request(10, 30, 5);
  for (int32_t id = 0; id < testing::tiny_vocab; ++id)
    impossible.sampling.logit_bias.emplace_back(id, -std::numeric_limits<float>::infinity());
  const Request good = tiny_request(11, 30, 5);
  const std::vector<Answer> answers = answer_all(engine_, {good, impossible, good});
  EXPECT_EQ(answers[1].reason, FinishReason::error);
  EXPECT_NE(answers[1].message.find("logit_bias"), std::string::npos);
  EXPECT_EQ(answers[0].tokens, answers[2].tokens);
  EXPECT_NE(answers[0].reason, FinishReason::error);
  EXPECT_THROW(engine_.generate(impossible), Error);
}

TEST_F(EngineTest, BrokenWeightsAreAnErrorAndNoCrash) {
  LoadedModel broken = testing::tiny_loaded();
  broken.model->final_norm[3] = std::nanf("");
  Engine engine(broken, pool_, small());
  const std::string text = message([&] { engine.generate(tiny_request(1, 5, 5)); });
  EXPECT_NE(text.find("not finite"), std::string::npos) << text;
}

TEST_F(EngineTest, ProgressIsTold) {
  const Request request = tiny_request(12, 250, 1);
  std::vector<int64_t> done;
  engine_.generate(request, [&](const Event& event) {
    if (event.kind == Event::Kind::progress) done.push_back(event.prompt_done);
    return true;
  });
  EXPECT_EQ(done, (std::vector<int64_t>{128, 250}));
}

TEST_F(EngineTest, SeedsAreTakenAndTold) {
  Request request = tiny_request(13, 10, 30);
  request.ignore_eos = true;
  request.sampling.seed.reset();
  const Answer a = answer(request), b = answer(request);
  EXPECT_NE(a.stats.seed, b.stats.seed);
  EXPECT_NE(a.tokens, b.tokens);
  request.sampling.seed = a.stats.seed;
  EXPECT_EQ(answer(request).tokens, a.tokens);
}

TEST_F(EngineTest, OtherThreadsMaySubmit) {
  std::vector<std::thread> clients;
  for (uint64_t t = 0; t < 4; ++t)
    clients.emplace_back([&, t] {
      for (uint64_t i = 0; i < 8; ++i) {
        const uint64_t id = engine_.submit(tiny_request(t * 8 + i, 20, 6));
        if (i % 3 == 2) engine_.cancel(id);
      }
    });
  int finished = 0;
  while (finished < 32) {
    if (engine_.idle()) engine_.wait();
    for (const Event& event : engine_.step()) finished += event.kind == Event::Kind::finish;
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(engine_.idle());
}

}  // namespace
}  // namespace hadal::infer
