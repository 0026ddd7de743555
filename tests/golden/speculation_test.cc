// Speculation by the MTP layer of the golden V3 model changes no token and no bit of a
// log-probability: greedy and sampled, alone and together, across pages, with reused prefixes.
#include <algorithm>

#include <gtest/gtest.h>

#include "base/random.h"
#include "golden/goldens.h"
#include "infer/engine.h"

namespace hadal {
namespace {

struct Answer {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  infer::RequestStats stats;
};

std::vector<Answer> answers(infer::Engine& engine, const std::vector<infer::Request>& requests) {
  std::vector<uint64_t> ids;
  for (const infer::Request& request : requests) ids.push_back(engine.submit(request));
  std::vector<Answer> all(requests.size());
  while (!engine.idle())
    for (const infer::Event& event : engine.step()) {
      const auto at = static_cast<size_t>(std::ranges::find(ids, event.id) - ids.begin());
      Answer& answer = all[at];
      if (event.kind == infer::Event::Kind::finish) answer.stats = event.stats;
      if (event.kind != infer::Event::Kind::token) continue;
      answer.tokens.push_back(event.token);
      answer.logprobs.push_back(event.logprob);
    }
  return all;
}

std::vector<infer::Request> requests(bool greedy) {
  std::vector<infer::Request> all(6);
  for (size_t i = 0; i < all.size(); ++i) {
    infer::Request& request = all[i];
    // 50, 66 ... 130 tokens: before, on and behind the ends of pages; beginnings in common.
    const size_t length = 50 + 16 * i - (i == 1 ? 2 : 0);
    for (size_t at = 0; at < length; ++at) {
      const uint64_t stream = at < 64 ? 0 : 1 + i;
      request.prompt.push_back(static_cast<int32_t>(512 * random_uniform(3, stream, at)));
    }
    request.max_tokens = 90;
    request.ignore_eos = true;
    request.sampling.seed = i;
    request.sampling.logprobs = 0;
    // Sampled from few tokens, for else a layer that was never trained would hardly ever be right.
    request.sampling.temperature = greedy ? 0.0 : 0.3;
    request.sampling.top_k = greedy ? 0 : 4;
    for (int32_t id = 0; id < 512; ++id)
      if (id % 64 != 5)
        request.sampling.logit_bias.emplace_back(id, -std::numeric_limits<float>::infinity());
  }
  return all;
}

TEST(GoldenSpeculation, V3AnswersAsWithoutIt) {
  const infer::LoadedModel loaded =
      infer::open_model((golden::goldens_root() / "models" / "v3").string());
  ASSERT_EQ(loaded.model->mtp.size(), 1u);
  ThreadPool pool(1);
  infer::EngineOptions options;
  options.cache_tokens = 8192;
  for (const bool greedy : {true, false}) {
    options.drafts = 0;
    std::vector<Answer> plain;
    for (const infer::Request& request : requests(greedy)) {
      infer::Engine engine(loaded, pool, options);
      plain.push_back(answers(engine, {request}).front());
      ASSERT_EQ(plain.back().tokens.size(), 90u);
    }
    for (const int64_t drafts : {1, 2, 3, -1}) {
      options.drafts = drafts;
      infer::Engine engine(loaded, pool, options);
      int64_t drafted = 0, accepted = 0, cached = 0;
      for (int round = 0; round < (drafts == 2 ? 2 : 1); ++round) {
        const std::vector<Answer> fast = answers(engine, requests(greedy));
        for (size_t i = 0; i < fast.size(); ++i) {
          EXPECT_EQ(fast[i].tokens, plain[i].tokens) << drafts << " drafts, request " << i;
          EXPECT_EQ(fast[i].logprobs, plain[i].logprobs) << drafts << " drafts, request " << i;
          drafted += fast[i].stats.drafted_tokens;
          accepted += fast[i].stats.accepted_tokens;
          cached += fast[i].stats.cached_tokens;
        }
      }
      EXPECT_GT(cached, 0) << "beginnings in common";
      EXPECT_GT(drafted, accepted);
      EXPECT_TRUE(drafts < 0 || accepted > 30) << accepted << " of " << drafted;
    }
  }
}

// A prompt whose last token is a step of its own: drafts behind it would be computed in its form of
// attention, which is not that of answers.
TEST(GoldenSpeculation, BehindTheLastTokenOfAPrompt) {
  const infer::LoadedModel loaded =
      infer::open_model((golden::goldens_root() / "models" / "v3").string());
  ThreadPool pool(1);
  for (const size_t length : {65, 129}) {
    infer::Request request = requests(true).front();
    while (request.prompt.size() < length) {
      const size_t at = request.prompt.size();
      request.prompt.push_back(static_cast<int32_t>(512 * random_uniform(3, 0, at)));
    }
    infer::EngineOptions options;
    options.cache_tokens = 1024;
    options.step_tokens = 64;
    options.drafts = 0;
    infer::Engine plain(loaded, pool, options);
    const Answer expected = answers(plain, {request}).front();
    options.drafts = 3;
    infer::Engine engine(loaded, pool, options);
    const Answer fast = answers(engine, {request}).front();
    EXPECT_EQ(fast.tokens, expected.tokens);
    EXPECT_EQ(fast.logprobs, expected.logprobs);
    EXPECT_GT(fast.stats.accepted_tokens, 5);
  }
}

}  // namespace
}  // namespace hadal
