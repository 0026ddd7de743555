// Whole answers are the same bytes, and their log-probabilities the same bits, alone or among
// others, with one thread or two, with prefixes taken from the cache or computed, and also when a
// sequence lost its pages on the way.
#include <filesystem>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "unit/infer/tiny_engine.h"

namespace hadal {
namespace {

using infer::Engine;
using infer::EngineOptions;
using infer::Request;
using testing::Answer;
using testing::tiny_loaded;
using testing::tiny_tokens;
using testing::TinyOptions;

// Prompts that share beginnings, settings of every kind.
std::vector<Request> mixed_requests() {
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 32; ++i) {
    const auto pick = [&](uint64_t j, double n) {
      return static_cast<int64_t>(random_uniform(99, i, j) * n);
    };
    Request request = testing::tiny_request(i, 0, 1 + pick(0, 20));
    request.prompt = tiny_tokens(1000 + i % 3, pick(1, 160));
    const std::vector<int32_t> own = tiny_tokens(i, 1 + pick(2, 20));
    request.prompt.insert(request.prompt.end(), own.begin(), own.end());
    request.sampling.temperature = i % 4 == 0 ? 0.0 : 0.8;
    request.sampling.top_p = i % 3 == 0 ? 0.9 : 1.0;
    request.sampling.top_k = i % 5 == 0 ? 10 : 0;
    request.sampling.repetition_penalty = i % 6 == 0 ? 1.2 : 1.0;
    request.sampling.logprobs = static_cast<int32_t>(i % 3);
    request.ignore_eos = i % 2 == 0;
    requests.push_back(std::move(request));
  }
  return requests;
}

struct Setting {
  int threads;
  EngineOptions options;
};

EngineOptions with(int64_t step_tokens, int64_t sequences_max, int64_t cache_tokens,
                   bool reuse_prefixes) {
  EngineOptions options;
  options.context_tokens = 210;
  options.step_tokens = step_tokens;
  options.sequences_max = sequences_max;
  options.cache_tokens = cache_tokens;
  options.reuse_prefixes = reuse_prefixes;
  return options;
}

class EngineInvariance : public ::testing::TestWithParam<model::Architecture> {};

TEST_P(EngineInvariance, AnswersDoNotDependOnCompany) {
  TinyOptions tiny;
  tiny.architecture = GetParam();
  const infer::LoadedModel loaded = tiny_loaded(tiny);
  const std::vector<Request> requests = mixed_requests();
  std::vector<Answer> alone;
  {
    ThreadPool pool(1);
    for (const Request& request : requests) {
      Engine engine(loaded, pool, with(512, 1, 256, false));
      alone.push_back(testing::answer_all(engine, {request}).front());
      ASSERT_TRUE(alone.back().finished);
    }
  }
  const std::vector<Setting> settings = {
      {2, with(512, 32, 32 * 256, true)},
      {1, with(96, 8, 8 * 256, true)},
      {2, with(33, 32, 384, true)},   // pages run out
      {1, with(64, 32, 256, false)},  // and without a prefix cache
  };
  int64_t preemptions = 0;
  for (size_t s = 0; s < settings.size(); ++s) {
    ThreadPool pool(settings[s].threads);
    Engine engine(loaded, pool, settings[s].options);
    int64_t cached = 0;
    // A second round finds the prefixes of the first.
    for (int round = 0; round < (s == 0 ? 2 : 1); ++round) {
      const std::vector<Answer> together = testing::answer_all(engine, requests);
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_TRUE(together[i] == alone[i])
            << "setting " << s << " round " << round << " request " << i << ": '"
            << together[i].text << "' instead of '" << alone[i].text << "'";
        preemptions += together[i].stats.preemptions;
        cached += together[i].stats.cached_tokens;
      }
    }
    EXPECT_EQ(cached > 0, settings[s].options.reuse_prefixes) << "setting " << s;
    const infer::EngineLoad load = engine.load();
    EXPECT_EQ(load.pages_free + load.pages_kept, load.pages) << "pages were lost";
  }
  EXPECT_GT(preemptions, 0) << "no sequence ever lost its pages: this proves too little";
}

// Three engines after one another, each with what those before it left on disk, which is never all:
// its limit makes them throw pages away, and pages of memory run out as well.
TEST_P(EngineInvariance, AnswersDoNotDependOnTheDisk) {
  TinyOptions tiny;
  tiny.architecture = GetParam();
  const infer::LoadedModel loaded = tiny_loaded(tiny);
  const std::vector<Request> requests = mixed_requests();
  ThreadPool pool(2);
  std::vector<Answer> alone;
  for (const Request& request : requests) {
    Engine engine(loaded, pool, with(512, 1, 256, false));
    alone.push_back(testing::answer_all(engine, {request}).front());
  }
  const std::string folder = ::testing::TempDir() + "/hadal_invariance_" + std::to_string(getpid());
  std::filesystem::remove_all(folder);
  int64_t hits = 0, evicted = 0, preemptions = 0;
  for (int round = 0; round < 3; ++round) {
    EngineOptions options = with(64, 8, 384, true);
    options.disk.folder = folder;
    options.disk.bytes_max = 200'000;
    Engine engine(loaded, pool, options);
    const std::vector<Answer> together = testing::answer_all(engine, requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(together[i] == alone[i])
          << "round " << round << " request " << i << ": '" << together[i].text << "' instead of '"
          << alone[i].text << "'";
      preemptions += together[i].stats.preemptions;
    }
    const infer::EngineLoad load = engine.load();
    EXPECT_EQ(load.pages_free + load.pages_kept, load.pages) << "pages were lost";
    hits += load.disk.hits;
    evicted += load.disk.evicted;
  }
  std::filesystem::remove_all(folder);
  EXPECT_GT(hits, 0);
  EXPECT_GT(evicted, 0);
  EXPECT_GT(preemptions, 0);
}

INSTANTIATE_TEST_SUITE_P(Forms, EngineInvariance,
                         ::testing::Values(model::Architecture::deepseek2,
                                           model::Architecture::qwen3),
                         [](const auto& form) {
                           return form.param == model::Architecture::deepseek2 ? "latent" : "dense";
                         });

}  // namespace
}  // namespace hadal
