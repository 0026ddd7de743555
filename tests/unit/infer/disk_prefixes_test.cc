// The engine with a cache on disk: what one engine computed, the next one reads.
#include "infer/disk_prefixes.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "unit/infer/tiny_engine.h"

namespace hadal::infer {
namespace {

namespace fs = std::filesystem;
using testing::Answer;

class DiskPrefixesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = ::testing::TempDir() + "/hadal_disk_" + info->name() + std::to_string(getpid());
    fs::remove_all(folder_);
    options_.context_tokens = 600;
    options_.cache_tokens = 64 * 40;
    options_.disk.folder = folder_;
    options_.disk.bytes_max = 1 << 26;
    options_.disk.fingerprint = "tiny";
  }
  void TearDown() override { fs::remove_all(folder_); }

  static Request request(uint64_t owner = 0) {
    Request request = testing::tiny_request(5, 300, 12);
    request.owner = owner;
    request.ignore_eos = true;
    return request;
  }
  // By an engine of its own, which has written all it wanted when this returns.
  std::vector<Answer> answers(const LoadedModel& loaded, const std::vector<Request>& requests) {
    ThreadPool pool(1);
    Engine engine(loaded, pool, options_);
    std::vector<Answer> answers = testing::answer_all(engine, requests);
    const EngineLoad load = engine.load();
    EXPECT_EQ(load.pages_free + load.pages_kept, load.pages) << "pages were lost";
    disk_ = load.disk;
    return answers;
  }
  Answer answer(const LoadedModel& loaded, const Request& request) {
    return answers(loaded, {request}).front();
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_))
      if (entry.path().extension() == ".kv") files.push_back(entry.path());
    return files;
  }

  std::string folder_;
  EngineOptions options_;
  DiskCacheStats disk_;
};

TEST_F(DiskPrefixesTest, TheNextEngineReadsWhatThisOneComputed) {
  for (const auto architecture : {model::Architecture::deepseek2, model::Architecture::qwen3})
    for (const quant::Type type : {quant::Type::BF16, quant::Type::F32, quant::Type::Q8_0}) {
      const bool latent = architecture == model::Architecture::deepseek2;
      if (type == quant::Type::Q8_0 && !latent) continue;
      testing::TinyOptions tiny;
      tiny.architecture = architecture;
      const LoadedModel loaded = testing::tiny_loaded(tiny);
      options_.cache_type = type;
      options_.disk.fingerprint = std::to_string(latent) + std::to_string(static_cast<int>(type));
      const Answer first = answer(loaded, request());
      EXPECT_EQ(first.stats.cached_tokens, 0);
      EXPECT_EQ(disk_.misses, 4);
      const Answer second = answer(loaded, request());
      EXPECT_TRUE(second == first) << second.text << " instead of " << first.text;
      EXPECT_EQ(second.stats.cached_tokens, 256);
      EXPECT_EQ(disk_.hits, 4);
      EXPECT_EQ(disk_.misses, 0);
    }
}

TEST_F(DiskPrefixesTest, OwnersAndFingerprintsShareNothing) {
  const LoadedModel loaded = testing::tiny_loaded();
  const Answer first = answer(loaded, request(1));
  EXPECT_EQ(answer(loaded, request(2)).stats.cached_tokens, 0);
  EXPECT_EQ(files().size(), 8u);
  options_.disk.fingerprint = "tiny, other kernels";
  EXPECT_EQ(answer(loaded, request(1)).stats.cached_tokens, 0);
  EXPECT_EQ(files().size(), 12u);
  options_.disk.fingerprint = "tiny";
  const Answer again = answer(loaded, request(1));
  EXPECT_EQ(again.stats.cached_tokens, 256);
  EXPECT_TRUE(again == first);
}

TEST_F(DiskPrefixesTest, ABrokenPageIsComputed) {
  const LoadedModel loaded = testing::tiny_loaded();
  const Answer first = answer(loaded, request());
  std::vector<fs::path> all = files();
  ASSERT_EQ(all.size(), 4u);
  for (const fs::path& path : all) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1000);
    file.put('\x5a');
    file.put('\xa5');
    file.close();
    std::string said;
    options_.disk.log = [&](const std::string& line) { said = line; };
    const Answer second = answer(loaded, request());
    EXPECT_TRUE(second == first);
    EXPECT_LT(second.stats.cached_tokens, 256);
    EXPECT_EQ(disk_.discarded, 1);
    EXPECT_EQ(disk_.misses, 1);  // the page alone; those behind it are found again
    EXPECT_NE(said.find(path.string() + ": discarded"), std::string::npos) << said;
  }
}

TEST_F(DiskPrefixesTest, WhoAsksForTheSameAtOnceReadsItOnce) {
  const LoadedModel loaded = testing::tiny_loaded();
  const Answer first = answer(loaded, request());
  const std::vector<Answer> all = answers(loaded, std::vector<Request>(6, request()));
  for (const Answer& one : all) {
    EXPECT_TRUE(one == first);
    EXPECT_EQ(one.stats.cached_tokens, 256);
  }
  EXPECT_EQ(disk_.hits, 4);
}

TEST_F(DiskPrefixesTest, OthersGoOnWhileOneIsRead) {
  const LoadedModel loaded = testing::tiny_loaded();
  const Answer first = answer(loaded, request());
  Request other = testing::tiny_request(77, 20, 550);
  other.ignore_eos = true;
  ThreadPool pool(1);
  Engine engine(loaded, pool, options_);
  const uint64_t running = engine.submit(other);
  engine.step();
  const uint64_t id = engine.submit(request());
  Answer answer;
  int64_t steps = 0, tokens = 0;
  while (!answer.finished) {
    ++steps;
    for (const Event& event : engine.step()) {
      if (event.id == id) answer.take(event);
      tokens += event.id == running && event.kind == Event::Kind::token;
    }
  }
  EXPECT_EQ(tokens, steps);  // one in each
  EXPECT_TRUE(answer == first);
  EXPECT_EQ(answer.stats.cached_tokens, 256);
}

TEST_F(DiskPrefixesTest, CancelledWhileItIsRead) {
  const LoadedModel loaded = testing::tiny_loaded();
  const Answer first = answer(loaded, request());
  ThreadPool pool(1);
  Engine engine(loaded, pool, options_);
  for (int steps = 0; steps < 5; ++steps) {
    const uint64_t id = engine.submit(request());
    for (int i = 0; i < steps; ++i) engine.step();
    engine.cancel(id);
    while (!engine.idle()) engine.step();
    EXPECT_EQ(engine.load().pages_free + engine.load().pages_kept, engine.load().pages);
  }
  EXPECT_TRUE(testing::answer_all(engine, {request()}).front() == first);
}

TEST_F(DiskPrefixesTest, MtpEntriesComeWithThePagesThatHaveThem) {
  testing::TinyOptions tiny;
  tiny.mtp_layers = 1;
  const LoadedModel loaded = testing::tiny_loaded(tiny);
  options_.drafts = 2;
  const Answer first = answer(loaded, request(1));
  EXPECT_GT(first.stats.drafted_tokens, 0);
  const Answer second = answer(loaded, request(1));
  EXPECT_TRUE(second == first);
  EXPECT_EQ(second.stats.cached_tokens, 256);
  EXPECT_EQ(second.stats.drafted_tokens, first.stats.drafted_tokens);
  EXPECT_EQ(second.stats.accepted_tokens, first.stats.accepted_tokens);
  // Pages that were computed without drafts lack them: nothing is drafted from what is not there.
  options_.drafts = 0;
  answer(loaded, request(2));
  options_.drafts = 2;
  const Answer third = answer(loaded, request(2));
  EXPECT_TRUE(third == first);
  EXPECT_EQ(third.stats.cached_tokens, 256);
  EXPECT_EQ(third.stats.drafted_tokens, 0);
}

TEST_F(DiskPrefixesTest, ASmallDiskKeepsTheBeginning) {
  const LoadedModel loaded = testing::tiny_loaded();
  answer(loaded, request());
  const auto size = static_cast<int64_t>(fs::file_size(files().front()));
  fs::remove_all(folder_);
  options_.disk.bytes_max = 3 * ((size + 4095) / 4096 * 4096);
  answer(loaded, request());
  const Answer second = answer(loaded, request());
  EXPECT_EQ(second.stats.cached_tokens, 192);
  EXPECT_EQ(disk_.bytes, disk_.bytes_max);
}

}  // namespace
}  // namespace hadal::infer
