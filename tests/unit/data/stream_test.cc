// Batches are pure functions of seed and step, keep the weights, and give every document borders.
#include "data/stream.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "data/mix.h"
#include "data/packing.h"
#include "files.h"

namespace hadal::data {
namespace {

using testing::error_of;
using testing::ScratchFolder;

constexpr int32_t kBos = 1, kEos = 2;

// Documents whose tokens say where they stand: bos, `base` + 0, 1, 2, ..., eos.
std::string counting_store(const ScratchFolder& folder, const std::string& name, int32_t base,
                           int documents, int longest, uint64_t tokenizer = 7) {
  TokenStoreWriter writer({60000, kBos, tokenizer});
  for (int d = 0; d < documents; ++d) {
    const auto length = 1 + static_cast<int>(philox(3, static_cast<uint64_t>(d), 0)[0] %
                                             static_cast<uint32_t>(longest));
    std::vector<int32_t> ids = {kBos};
    for (int i = 0; i < length; ++i) ids.push_back(base + i);
    ids.push_back(kEos);
    writer.add(ids);
  }
  writer.write(folder.file(name), true);
  return folder.file(name);
}

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.targets, b.targets);
  EXPECT_EQ(a.documents, b.documents);
  EXPECT_EQ(a.sequences, b.sequences);
}

// Every row predicts its successor; documents begin with bos and count on from there.
void expect_sound(const Batch& batch, int64_t rows, int64_t length) {
  ASSERT_EQ(batch.rows(), rows * length);
  ASSERT_EQ(batch.targets.size(), batch.tokens.size());
  ASSERT_EQ(batch.sequences.size(), static_cast<size_t>(rows) + 1);
  for (size_t s = 0; s < batch.sequences.size(); ++s) {
    EXPECT_EQ(batch.sequences[s], static_cast<int64_t>(s) * length);
  }
  const std::set<int64_t> borders(batch.documents.begin(), batch.documents.end());
  ASSERT_EQ(borders.size(), batch.documents.size());
  for (const int64_t sequence : batch.sequences) EXPECT_TRUE(borders.contains(sequence));
  EXPECT_EQ(batch.documents.back(), batch.rows());
  for (size_t d = 0; d + 1 < batch.documents.size(); ++d) {
    const auto begin = static_cast<size_t>(batch.documents[d]);
    const auto end = static_cast<size_t>(batch.documents[d + 1]);
    EXPECT_EQ(batch.tokens[begin], kBos);
    for (size_t i = begin; i + 1 < end; ++i) {
      if (batch.targets[i] < 0) continue;
      EXPECT_EQ(batch.targets[i], batch.tokens[i + 1]);
      if (batch.tokens[i] == kBos || batch.targets[i] == kEos) continue;
      EXPECT_EQ(batch.targets[i], batch.tokens[i] + 1);
    }
  }
}

TEST(Stream, IsAPureFunctionOfSeedAndStep) {
  const ScratchFolder folder;
  const std::string a = counting_store(folder, "a", 100, 300, 90);
  const std::string b = counting_store(folder, "b", 20000, 200, 400);
  StreamOptions options{{{a, 2}, {b, 1}}, 6, 64, 11, {}};
  const Stream stream(options), again(options);
  std::vector<Batch> forward;
  for (int64_t step = 0; step < 40; ++step) forward.push_back(stream.batch(step));
  for (int64_t step = 39; step >= 0; --step) {
    expect_equal(again.batch(step), forward[static_cast<size_t>(step)]);
    expect_sound(forward[static_cast<size_t>(step)], 6, 64);
  }
  const Batch part = again.sequences(17, 2, 3);
  const std::vector<int32_t> middle(forward[17].tokens.begin() + 2L * 64,
                                    forward[17].tokens.begin() + 5L * 64);
  EXPECT_EQ(part.tokens, middle);
  options.seed = 12;
  EXPECT_NE(Stream(options).batch(0).tokens, forward[0].tokens);
}

TEST(Stream, KeepsWeightsAndTheirChange) {
  const ScratchFolder folder;
  const std::string a = counting_store(folder, "a", 100, 50, 30);
  const std::string b = counting_store(folder, "b", 20000, 50, 30);
  StreamOptions options{{{a, 0.3}, {b, 0.7}}, 5, 32, 1, {{100, {1, 0}}}};
  const Stream stream(options);
  int64_t of_b = 0;
  for (int64_t step = 0; step < 100; ++step) {
    const Batch batch = stream.batch(step);
    for (size_t s = 0; s < 5; ++s) of_b += batch.tokens[s * 32 + 1] >= 20000 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(of_b), 350.0, 1.0);
  for (int64_t step = 100; step < 130; ++step) {
    for (const int32_t token : stream.batch(step).tokens) EXPECT_LT(token, 20000);
  }
  const auto report = stream.report(130);
  EXPECT_NEAR(report[0].passes * static_cast<double>(report[0].rows), 150 + 150, 1.0);
  EXPECT_NEAR(report[1].passes * static_cast<double>(report[1].rows), 350, 1.0);
}

TEST(Stream, ReadsEveryTokenOnceInAPass) {
  const ScratchFolder folder;
  TokenStoreWriter writer({60000, kBos, 0});
  int32_t next = 10;
  for (int d = 0; d < 60; ++d) {  // up to 300 tokens, every one unique
    std::vector<int32_t> ids = {kBos};
    for (int i = 0; i <= d * 5; ++i) ids.push_back(next++);
    writer.add(ids);
  }
  writer.write(folder.file("s"), false);
  const Stream stream({{{folder.file("s"), 1}}, 1, 64, 5, {}});
  const auto report = stream.report(0)[0];
  EXPECT_GT(report.filled, 0.97);
  std::map<int32_t, int> seen;
  for (int64_t step = 0; step < report.rows; ++step) {
    for (const int32_t target : stream.batch(step).targets) ++seen[target];
  }
  seen.erase(-1);
  for (const auto& [token, times] : seen) EXPECT_EQ(times, 1) << token;
  // Only what is left out, and what stands first behind a cut, is not predicted.
  EXPECT_GT(static_cast<int32_t>(seen.size()), (next - 10) * 95 / 100 - report.left_out);
  std::vector<std::vector<int32_t>> first, second;  // another order in the second pass
  for (int64_t step = 0; step < report.rows; ++step) {
    first.push_back(stream.batch(step).tokens);
    second.push_back(stream.batch(step + report.rows).tokens);
  }
  EXPECT_NE(first, second);
  EXPECT_EQ(std::multiset(first.begin(), first.end()), std::multiset(second.begin(), second.end()));
}

TEST(Stream, LearnsOnlyMarkedTokensAndDropsTheTailsOfDialogues) {
  const ScratchFolder folder;
  TokenStoreWriter writer({1000, kBos, 0});
  const std::vector<int32_t> dialogue = {kBos, 10, 11, 12, 20, 21, kEos};
  const std::vector<uint8_t> learnt = {0, 0, 0, 0, 1, 1, 1};
  writer.add(dialogue, learnt);
  std::vector<int32_t> question(40, 30);  // its answer lies behind the row's end
  question.push_back(31);
  std::vector<uint8_t> answer(41, 0);
  answer.back() = 1;
  writer.add(question, answer);
  writer.write(folder.file("s"), false);
  const Stream stream({{{folder.file("s"), 1}}, 1, 16, 0, {}});
  const Batch batch = stream.batch(0);
  const std::vector<int32_t> tokens = {kBos, 10, 11, 12, 20, 21};
  const std::vector<int32_t> targets = {-1, -1, -1, 20, 21, kEos};
  EXPECT_EQ(std::vector(batch.tokens.begin(), batch.tokens.begin() + 6), tokens);
  EXPECT_EQ(std::vector(batch.targets.begin(), batch.targets.begin() + 6), targets);
  for (size_t i = 6; i < 16; ++i) EXPECT_EQ(batch.targets[i], -1);
  EXPECT_EQ(batch.documents, (std::vector<int64_t>{0, 6, 16}));
  EXPECT_EQ(stream.report(0)[0].left_out, 41);
}

TEST(Stream, RefusesWhatDoesNotFitTogether) {
  const ScratchFolder folder;
  const std::string a = counting_store(folder, "a", 100, 5, 30);
  const std::string b = counting_store(folder, "b", 100, 5, 30, 8);
  const auto error = [](const StreamOptions& options) {
    return error_of([&] { const Stream stream(options); });
  };
  EXPECT_NE(error({{{a, 1}, {b, 1}}, 1, 32, 0, {}}).find("different tokenizers"),
            std::string::npos);
  EXPECT_NE(error({{{a, -1}}, 1, 32, 0, {}}).find("weight"), std::string::npos);
  EXPECT_NE(error({{{a, 0}}, 1, 32, 0, {}}).find("weight 0"), std::string::npos);
  EXPECT_NE(error({{{a, 1}}, 1, 32, 0, {{5, {1, 2}}}}).find("2 weights"), std::string::npos);
  EXPECT_NE(error({{}, 1, 32, 0, {}}).find("sources"), std::string::npos);
  EXPECT_NE(error({{{folder.file("none"), 1}}, 1, 32, 0, {}}).find("none"), std::string::npos);
}

TEST(Mix, IsExactAndEven) {
  const std::vector<double> weights = {0.35, 0.15, 0.12, 0.22, 0.1, 0.06};
  const Mix mix(weights);
  std::vector<int64_t> counts(weights.size(), 0);
  for (int64_t i = 0; i < 10000; ++i) {
    const Mix::Slot slot = mix.slot(i);
    ASSERT_EQ(slot.index, counts[static_cast<size_t>(slot.source)]++);
    for (size_t s = 0; s < weights.size(); ++s) {
      ASSERT_NEAR(static_cast<double>(counts[s]), weights[s] * static_cast<double>(i + 1), 4.0);
    }
  }
  for (size_t s = 0; s < weights.size(); ++s) {
    EXPECT_EQ(mix.count(10000, static_cast<int32_t>(s)), counts[s]);
  }
}

TEST(Mix, PermutesEveryCount) {
  for (const uint64_t count : {1ULL, 2ULL, 3ULL, 17ULL, 64ULL, 1000ULL}) {
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < count; ++i) seen.insert(permuted(i, count, 9, 4));
    EXPECT_EQ(seen.size(), count);
    EXPECT_EQ(*seen.rbegin(), count - 1);
  }
}

}  // namespace
}  // namespace hadal::data
