#include "infer/speculation.h"

#include <cstring>

#include <gtest/gtest.h>

#include "base/error.h"
#include "grammar/gbnf.h"
#include "unit/infer/tiny_engine.h"

namespace hadal::infer {
namespace {

using testing::Answer;
using testing::answer_all;
using testing::tiny_first_text;
using testing::tiny_request;
using testing::tiny_think_end;
using testing::tiny_tokens;

EngineOptions drafting(int64_t drafts) {
  EngineOptions options;
  options.context_tokens = 400;
  options.cache_tokens = 6400;
  options.step_tokens = 128;
  options.drafts = drafts;
  return options;
}

void fill(const model::Matrix& matrix, float value) {
  auto* data = static_cast<float*>(const_cast<void*>(matrix.data));
  std::fill_n(data, matrix.rows * matrix.cols, value);
}

// A model whose layers add nothing, so that the next token depends on the last one alone, and whose
// MTP layer hands on that token's embedding: what it predicts is what the model will say.
LoadedModel oracle() {
  LoadedModel loaded = testing::tiny_loaded({.mtp_layers = 1});
  model::Model& m = *loaded.model;
  const auto silence = [](model::Layer& layer) {
    fill(layer.attention.o, 0);
    if (layer.dense.down.data != nullptr) fill(layer.dense.down, 0);
    for (const model::Mlp& expert : layer.experts.routed) fill(expert.down, 0);
    if (layer.experts.shared.down.data != nullptr) fill(layer.experts.shared.down, 0);
  };
  for (model::Layer& layer : m.layers) silence(layer);
  model::MtpLayer& mtp = m.mtp.front();
  silence(mtp.layer);
  fill(mtp.eh_proj, 0);
  auto* joined = static_cast<float*>(const_cast<void*>(mtp.eh_proj.data));
  for (int64_t i = 0; i < mtp.eh_proj.rows; ++i) joined[i * mtp.eh_proj.cols + i] = 1;
  std::ranges::fill(mtp.enorm, 1.0f);
  mtp.norm = m.final_norm;
  return loaded;
}

struct Counted {
  Answer answer;
  int64_t steps = 0;
};

Counted count_steps(const LoadedModel& loaded, const EngineOptions& options,
                    const Request& request) {
  ThreadPool pool(1);
  Engine engine(loaded, pool, options);
  engine.submit(request);
  Counted counted;
  for (; !engine.idle(); ++counted.steps)
    for (const Event& event : engine.step()) counted.answer.take(event);
  return counted;
}

TEST(Speculation, EveryRightDraftSavesAStep) {
  const LoadedModel loaded = oracle();
  Request request = tiny_request(3, 70, 61);
  request.ignore_eos = true;
  for (const double temperature : {0.0, 1.0}) {
    request.sampling.temperature = temperature;
    const Counted plain = count_steps(loaded, drafting(0), request);
    EXPECT_EQ(plain.steps, 61);
    EXPECT_EQ(plain.answer.stats.drafted_tokens, 0);
    for (const int64_t drafts : {1, 2, 3, 8}) {
      const Counted fast = count_steps(loaded, drafting(drafts), request);
      EXPECT_TRUE(fast.answer == plain.answer) << drafts << " drafts";
      // The prompt's step gives one token, each of the others one more than its drafts; the last
      // has no use for all of them.
      EXPECT_EQ(fast.steps, 1 + (60 + drafts) / (drafts + 1)) << drafts << " drafts";
      EXPECT_EQ(fast.answer.stats.accepted_tokens, fast.answer.stats.drafted_tokens);
      EXPECT_EQ(fast.answer.stats.accepted_tokens, 61 - fast.steps);
    }
  }
}

TEST(Speculation, AnswersEndWhereTheyWouldEnd) {
  const LoadedModel loaded = oracle();
  Request request = tiny_request(5, 20, 50);
  request.sampling.temperature = 1.0;
  request.ignore_eos = true;
  request.sampling.logit_bias = {{tiny_think_end, -100.0f}};
  const std::string text = count_steps(loaded, drafting(0), request).answer.text;
  ASSERT_GT(text.size(), 40u);
  std::vector<Request> requests(5, request);
  requests[0].stop = {text.substr(17, 3)};
  requests[1].stop_ids = {tiny_first_text + static_cast<uint8_t>(text[22])};
  requests[2].thinking.starts_inside = true;
  requests[2].thinking.budget = 10;
  requests[2].thinking.close_id = tiny_think_end;
  requests[2].thinking.close = {tiny_think_end, tiny_first_text};
  requests[3].sampling.repetition_penalty = 1.3;
  requests[3].sampling.frequency_penalty = 0.5;
  requests[3].sampling.logprobs = 2;
  requests[4].max_tokens = 2;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Answer plain = count_steps(loaded, drafting(0), requests[i]).answer;
    for (const int64_t drafts : {1, 3, 8}) {
      const Answer fast = count_steps(loaded, drafting(drafts), requests[i]).answer;
      EXPECT_TRUE(fast == plain) << "request " << i << ", " << drafts << " drafts";
      EXPECT_EQ(fast.stats.generated_tokens, plain.stats.generated_tokens);
      EXPECT_EQ(fast.stats.reasoning_tokens, plain.stats.reasoning_tokens);
    }
  }
}

// Drafts know no grammar: those that it forbids are wrong like others.
TEST(Speculation, AGrammarHoldsWithDrafts) {
  const LoadedModel loaded = oracle();
  const auto vocabulary = std::make_shared<const grammar::Vocabulary>(
      *loaded.tokenizer, loaded.model->config.vocab_size);
  Request request = tiny_request(5, 20, 60);
  request.sampling.temperature = 1.0;
  request.constraint = std::make_shared<grammar::Constraint>(
      grammar::parse_gbnf(R"(root ::= "<" [a-z]{3,9} ">" [^<]{0,20} ("</" [a-z]+ ">")?)"),
      vocabulary);
  for (uint64_t seed = 0; seed < 6; ++seed) {
    request.sampling.seed = seed;
    const Answer plain = count_steps(loaded, drafting(0), request).answer;
    grammar::Matcher matcher(request.constraint);
    EXPECT_TRUE(matcher.accept_text(plain.text)) << plain.text;
    for (const int64_t drafts : {1, 3, 8})
      EXPECT_TRUE(count_steps(loaded, drafting(drafts), request).answer == plain) << plain.text;
  }
}

TEST(Speculation, CancellationStopsWithinAStep) {
  const LoadedModel loaded = oracle();
  ThreadPool pool(1);
  Engine engine(loaded, pool, drafting(3));
  Request request = tiny_request(3, 20, -1);
  request.ignore_eos = true;
  int seen = 0;
  const GenerateResult result = engine.generate(
      request, [&](const Event& e) { return e.kind != Event::Kind::token || ++seen < 3; });
  EXPECT_EQ(result.reason, FinishReason::cancelled);
  EXPECT_EQ(result.tokens.size(), 3u);
  EXPECT_EQ(engine.load().pages_free + engine.load().pages_kept, engine.load().pages);
}

// What the MTP layer predicts depends on its cache: were entries missing, stale or misplaced, other
// drafts would be right.
TEST(Speculation, DraftsDoNotDependOnWhereTheCacheCameFrom) {
  const LoadedModel loaded = testing::tiny_loaded({.mtp_layers = 1});
  Request request = tiny_request(8, 200, 150);
  request.ignore_eos = true;
  // Five tokens are allowed, so that many drafts are right.
  for (int32_t id = 0; id < testing::tiny_vocab; ++id)
    if (id < 40 || id >= 45)
      request.sampling.logit_bias.emplace_back(id, -std::numeric_limits<float>::infinity());
  ThreadPool pool(2);
  EngineOptions options = drafting(2);
  Engine engine(loaded, pool, options);
  const Answer first = answer_all(engine, {request}).front();
  EXPECT_GT(first.stats.accepted_tokens, 20);
  EXPECT_LT(first.stats.accepted_tokens, first.stats.drafted_tokens);
  const auto same = [&](const Answer& other) {
    EXPECT_TRUE(other == first);
    EXPECT_EQ(other.stats.accepted_tokens, first.stats.accepted_tokens);
    EXPECT_EQ(other.stats.drafted_tokens, first.stats.drafted_tokens);
  };
  const Answer again = answer_all(engine, {request}).front();
  EXPECT_EQ(again.stats.cached_tokens, 192);
  same(again);
  options.step_tokens = 37;  // other chunks
  Engine chunked(loaded, pool, options);
  same(answer_all(chunked, {request}).front());
  // Choices of one prompt: the others take the first one's pages while it is computed.
  const std::vector<Answer> choices = answer_all(engine, {request, request});
  same(choices[0]);
  same(choices[1]);
}

TEST(Speculation, ItMeasuresWhetherItPays) {
  const LoadedModel loaded = testing::tiny_loaded({.mtp_layers = 1});
  Request request = tiny_request(8, 100, 290);
  request.ignore_eos = true;
  const Answer plain = count_steps(loaded, drafting(0), request).answer;
  const Answer fast = count_steps(loaded, drafting(EngineOptions::drafts_auto), request).answer;
  EXPECT_TRUE(fast == plain);
  EXPECT_GT(fast.stats.drafted_tokens, 0) << "it was never tried";
  EXPECT_LT(fast.stats.drafted_tokens, 290) << "a layer that guesses went on";
}

TEST(Speculation, ImpossibleWishesAreRefused) {
  ThreadPool pool(1);
  const LoadedModel without = testing::tiny_loaded();
  EXPECT_THROW(Engine(without, pool, drafting(1)), Error);
  EXPECT_NO_THROW(Engine(without, pool, drafting(EngineOptions::drafts_auto)));
  const LoadedModel with = testing::tiny_loaded({.mtp_layers = 1});
  EXPECT_THROW(Engine(with, pool, drafting(9)), Error);
  EXPECT_THROW(Engine(with, pool, drafting(-2)), Error);
}

}  // namespace
}  // namespace hadal::infer
