// One numeric definition: the logits of a position are the same bits whatever else is computed with
// it, in whatever pieces, by however many threads, and wherever its cache pages lie.
#include <algorithm>
#include <cstring>
#include <map>

#include <gtest/gtest.h>

#include "model/forward.h"
#include "unit/model/tiny_model.h"

namespace hadal {
namespace {

using model::AttentionForm;
using model::KvCache;
using model::Precision;
using model::Runner;
using model::Segment;
using testing::tiny_tokens;
using testing::TinyOptions;

constexpr int64_t rows_max = 256;
constexpr int64_t pages = 16;

struct Case {
  std::string name;
  TinyOptions options;
  Precision precision;
  quant::Type cache;
};

// A sequence whose tail [absorbed_from, size) is computed in the absorbed form.
struct Sequence {
  std::vector<int32_t> tokens;
  std::vector<int32_t> pages;
  int64_t absorbed_from;
  int64_t done = 0;
  std::vector<float> logits;  // of all tokens so far

  Sequence(uint64_t seed, int64_t n, std::vector<int32_t> p)
      : tokens(tiny_tokens(seed, n)), pages(std::move(p)), absorbed_from(n - 5) {}

  bool finished() const { return done == static_cast<int64_t>(tokens.size()); }
  // The next piece, of at most n tokens, in one form.
  Segment next(int64_t n) const {
    const auto size = static_cast<int64_t>(tokens.size());
    const bool absorbed = done >= absorbed_from;
    n = std::min(n, (absorbed ? size : absorbed_from) - done);
    return {std::span(tokens).subspan(static_cast<size_t>(done), static_cast<size_t>(n)), done,
            pages, absorbed ? AttentionForm::absorbed : AttentionForm::expanded, 0};
  }
};

void step(Runner& runner, KvCache& cache, std::vector<Sequence*> sequences,
          const std::vector<int64_t>& sizes) {
  std::vector<Segment> segments;
  for (size_t i = 0; i < sequences.size(); ++i) segments.push_back(sequences[i]->next(sizes[i]));
  const auto logits = runner.forward(cache, segments);
  const float* row = logits.data();
  const int64_t vocab = runner.model().config.vocab_size;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto n = static_cast<int64_t>(segments[i].tokens.size());
    sequences[i]->logits.insert(sequences[i]->logits.end(), row, row + n * vocab);
    sequences[i]->done += n;
    row += n * vocab;
  }
}

void finish(Runner& runner, KvCache& cache, Sequence& sequence, std::vector<int64_t> sizes) {
  for (size_t i = 0; !sequence.finished(); ++i)
    step(runner, cache, {&sequence}, {sizes[std::min(i, sizes.size() - 1)]});
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

Sequence long_sequence(std::vector<int32_t> p) {
  return {11, 140, std::move(p)};
}
Sequence short_sequence(std::vector<int32_t> p) {
  return {12, 30, std::move(p)};
}

// A model and what it computes for each sequence alone, at once, by one thread.
struct Baseline {
  explicit Baseline(const Case& c) : model(testing::tiny_model(c.options)) {
    ThreadPool pool(1);
    Runner runner(*model, c.precision, pool, rows_max);
    KvCache cache(model->config, c.cache, pages);
    finish(runner, cache, of_long, {rows_max});
    finish(runner, cache, of_short, {rows_max});
  }
  std::unique_ptr<model::Model> model;
  Sequence of_long = long_sequence({0, 1, 2});
  Sequence of_short = short_sequence({3});
};

class ForwardInvariance : public ::testing::TestWithParam<Case> {
 protected:
  static const Baseline& baseline() {
    static std::map<std::string, std::unique_ptr<Baseline>> all;
    auto& slot = all[GetParam().name];
    if (slot == nullptr) slot = std::make_unique<Baseline>(GetParam());
    return *slot;
  }

  void SetUp() override {
    for (const float x : long_.logits) ASSERT_TRUE(std::isfinite(x));
  }
  KvCache new_cache() const { return {model_->config, GetParam().cache, pages}; }

  const model::Model* model_ = baseline().model.get();
  const Sequence& long_ = baseline().of_long;
  const Sequence& short_ = baseline().of_short;
};

TEST_P(ForwardInvariance, Threads) {
  for (const int threads : {2, 3}) {
    ThreadPool pool(threads);
    Runner runner(*model_, GetParam().precision, pool, rows_max);
    auto cache = new_cache();
    Sequence a = long_sequence({0, 1, 2});
    finish(runner, cache, a, {rows_max});
    EXPECT_TRUE(same_bits(a.logits, long_.logits)) << threads << " threads";
  }
}

TEST_P(ForwardInvariance, ChunksOfThePrompt) {
  ThreadPool pool(2);
  Runner runner(*model_, GetParam().precision, pool, rows_max);
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{64}, {1, 62, 2, 7}, {100, 1, 1, 33}, {17}}) {
    auto cache = new_cache();
    Sequence a = long_sequence({0, 1, 2});
    finish(runner, cache, a, sizes);
    EXPECT_TRUE(same_bits(a.logits, long_.logits)) << "chunks of " << sizes.front();
  }
}

TEST_P(ForwardInvariance, CompanyAndPages) {
  ThreadPool pool(2);
  Runner runner(*model_, GetParam().precision, pool, rows_max);
  auto cache = new_cache();
  Sequence a = long_sequence({9, 2, 14});
  Sequence b = short_sequence({5});
  Sequence c = long_sequence({1, 8, 3});
  // Segments of all lengths in both forms, in changing company and order.
  step(runner, cache, {&a, &b}, {50, 25});
  step(runner, cache, {&b, &c, &a}, {1, 70, 40});
  step(runner, cache, {&c, &b, &a}, {65, 4, 45});
  step(runner, cache, {&a, &c}, {1, 2});
  step(runner, cache, {&c, &a}, {1, 4});
  finish(runner, cache, c, {1});
  ASSERT_TRUE(a.finished() && b.finished() && c.finished());
  EXPECT_TRUE(same_bits(a.logits, long_.logits));
  EXPECT_TRUE(same_bits(b.logits, short_.logits));
  EXPECT_TRUE(same_bits(c.logits, long_.logits));
}

TEST_P(ForwardInvariance, SharedPrefix) {
  ThreadPool pool(2);
  Runner runner(*model_, GetParam().precision, pool, rows_max);
  auto cache = new_cache();
  Sequence first = long_sequence({4, 6, 7});
  finish(runner, cache, first, {rows_max});
  Sequence second = long_sequence({4, 6, 10});  // the first two pages as computed for another
  second.done = 2 * KvCache::page_tokens;
  const int64_t vocab = model_->config.vocab_size;
  second.logits.assign(long_.logits.begin(), long_.logits.begin() + second.done * vocab);
  finish(runner, cache, second, {rows_max});
  EXPECT_TRUE(same_bits(second.logits, long_.logits));
}

std::vector<Case> cases() {
  using enum model::Architecture;
  using quant::Type;
  std::vector<Case> all;
  const auto add = [&](std::string name, TinyOptions options, Precision precision, Type cache) {
    all.push_back({std::move(name), options, precision, cache});
  };
  add("mla_f32", {}, Precision::f32, Type::F32);
  add("mla_bf16", {.type = Type::BF16, .compressed_queries = false}, Precision::bf16, Type::BF16);
  add("mla_split_q8_0", {.type = Type::Q8_0, .split_kv_b = true}, Precision::native, Type::BF16);
  add("mla_q4_0_softmax", {.type = Type::Q4_0, .scoring = model::Scoring::softmax},
      Precision::native, Type::BF16);
  add("mla_native_bf16", {.type = Type::BF16}, Precision::native, Type::BF16);
  add("mla_split_native_bf16", {.type = Type::BF16, .split_kv_b = true}, Precision::native,
      Type::BF16);
  add("mla_fp8", {.type = Type::FP8_E4M3, .hidden = 96}, Precision::native, Type::BF16);
  add("mla_q4_k", {.type = Type::Q4_K, .hidden = 256}, Precision::native, Type::BF16);
  add("mla_split_q6_k", {.type = Type::Q6_K, .hidden = 256, .split_kv_b = true}, Precision::native,
      Type::BF16);
  add("mla_8_bit_cache", {.type = Type::Q8_0, .hidden = 96}, Precision::native, Type::Q8_0);
  add("mla_q8_0_as_f32", {.type = Type::Q8_0}, Precision::f32, Type::F32);
  add("llama_f32", {.architecture = llama}, Precision::native, Type::F32);
  add("qwen2_bf16", {.architecture = qwen2, .type = Type::BF16}, Precision::native, Type::BF16);
  add("qwen3_q4_k", {.architecture = qwen3, .type = Type::Q4_K, .hidden = 256}, Precision::native,
      Type::BF16);
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, ForwardInvariance, ::testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace hadal
