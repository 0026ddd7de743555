// Answers with speculation are the bytes, and their log-probabilities the bits, of plain decoding:
// whatever is asked for, in whatever company, however many drafts, and when pages run out.
#include <gtest/gtest.h>

#include "unit/infer/tiny_engine.h"

namespace hadal {
namespace {

using infer::Engine;
using infer::EngineOptions;
using infer::Request;
using testing::Answer;
using testing::tiny_tokens;

// Few tokens are allowed, so that many drafts are right, and many are not.
std::vector<Request> requests() {
  std::vector<Request> all;
  for (uint64_t i = 0; i < 20; ++i) {
    const auto pick = [&](uint64_t j, double n) {
      return static_cast<int64_t>(random_uniform(98, i, j) * n);
    };
    Request request = testing::tiny_request(i, 0, 1 + pick(0, 90));
    request.prompt = tiny_tokens(1000 + i % 3, pick(1, 140));
    const std::vector<int32_t> own = tiny_tokens(i, 1 + pick(2, 20));
    request.prompt.insert(request.prompt.end(), own.begin(), own.end());
    request.sampling.temperature = i % 4 == 0 ? 0.0 : 0.9;
    request.sampling.top_p = i % 3 == 0 ? 0.9 : 1.0;
    request.sampling.repetition_penalty = i % 6 == 0 ? 1.2 : 1.0;
    request.sampling.presence_penalty = i % 5 == 0 ? 0.4 : 0.0;
    request.sampling.logprobs = static_cast<int32_t>(i % 3);
    const auto few = static_cast<int32_t>(2 + i % 5);
    for (int32_t id = 0; id < testing::tiny_vocab; ++id)
      if (id != testing::tiny_eos && (id < 100 || id >= 100 + few))
        request.sampling.logit_bias.emplace_back(id, -std::numeric_limits<float>::infinity());
    request.ignore_eos = i % 4 == 1;
    if (i % 7 == 3) request.stop = {"ab", "abc"};
    if (i % 5 == 2) {
      request.thinking.starts_inside = true;
      request.thinking.budget = 11;
      request.thinking.close_id = testing::tiny_think_end;
      request.thinking.close = {testing::tiny_think_end, testing::tiny_first_text};
    }
    all.push_back(std::move(request));
  }
  return all;
}

struct Setting {
  int threads;
  int64_t drafts, step_tokens, cache_tokens;
};

EngineOptions options_of(const Setting& setting, int64_t sequences_max) {
  EngineOptions options;
  options.context_tokens = 260;
  options.drafts = setting.drafts;
  options.step_tokens = setting.step_tokens;
  options.cache_tokens = setting.cache_tokens;
  options.stall_max = 0;  // what is drafted depends on no clock
  options.sequences_max = sequences_max;
  return options;
}

TEST(SpeculationProperty, AnswersAreThoseOfPlainDecoding) {
  for (const quant::Type type : {quant::Type::F32, quant::Type::Q8_0}) {
    const infer::LoadedModel loaded = testing::tiny_loaded({.type = type, .mtp_layers = 1});
    const std::vector<Request> wanted = requests();
    std::vector<Answer> plain;
    for (const Request& request : wanted) {
      ThreadPool pool(1);
      Engine engine(loaded, pool, options_of({1, 0, 512, 320}, 1));
      plain.push_back(testing::answer_all(engine, {request}).front());
    }
    const std::vector<Setting> settings = {
        {1, 1, 512, 32 * 256}, {2, 2, 512, 32 * 256},
        {1, 3, 96, 32 * 256},  {2, 3, 21, 384},  // pages run out, and so does the step's budget
        {1, 8, 64, 512},       {2, EngineOptions::drafts_auto, 512, 32 * 256}};
    int64_t preemptions = 0, cached = 0;
    for (const Setting& setting : settings) {
      ThreadPool pool(setting.threads);
      Engine engine(loaded, pool, options_of(setting, 32));
      int64_t drafted = 0, accepted = 0;
      for (int round = 0; round < 2; ++round) {  // the second finds the prefixes of the first
        const std::vector<Answer> fast = testing::answer_all(engine, wanted);
        for (size_t i = 0; i < wanted.size(); ++i) {
          EXPECT_TRUE(fast[i] == plain[i])
              << setting.drafts << " drafts, round " << round << ", request " << i << ": '"
              << fast[i].text << "' instead of '" << plain[i].text << "'";
          EXPECT_EQ(fast[i].stats.reasoning_tokens, plain[i].stats.reasoning_tokens);
          drafted += fast[i].stats.drafted_tokens;
          accepted += fast[i].stats.accepted_tokens;
          preemptions += fast[i].stats.preemptions;
          cached += fast[i].stats.cached_tokens;
        }
      }
      if (setting.drafts > 0) {
        EXPECT_GT(accepted, 50) << setting.drafts << " drafts: this proves too little";
        EXPECT_GT(drafted, accepted + 100);
      }
      EXPECT_EQ(engine.load().pages_free + engine.load().pages_kept, engine.load().pages);
    }
    EXPECT_GT(preemptions, 0);
    EXPECT_GT(cached, 0);
  }
}

}  // namespace
}  // namespace hadal
