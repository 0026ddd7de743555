// hadal serve --cache-dir: what one server computed of a prompt, the next one reads.
#include <fstream>

#include <sys/stat.h>

#include "e2e/server_process.h"
#include "e2e/test_model.h"

namespace hadal::e2e {
namespace {

namespace fs = std::filesystem;

class ServeCacheTest : public ModelTest {
 protected:
  void SetUp() override {
    ModelTest::SetUp();
    cache_ = folder_ + "/cache";
  }
  // With log-probabilities, so that answers can be compared to the bit.
  static Json question(int number, size_t bytes = 1500) {
    std::string text = "Document " + std::to_string(number) + ": ";
    for (int i = 0; text.size() < bytes; ++i) text += "line " + std::to_string(i * number) + " ";
    Json body = user_says(text.substr(0, bytes));
    body["max_tokens"] = 8;
    body["logprobs"] = true;
    body["top_logprobs"] = 5;
    return body;
  }
  static Json ask(const ServerProcess& server, const Json& body, const std::string& headers = "") {
    return HttpClient(server.port()).post("/chat/completions", body.dump(), headers).json();
  }
  static int64_t hits(const Json& answer) {
    return answer["usage"]["prompt_cache_hit_tokens"].get<int64_t>();
  }
  std::vector<std::string> flags() const { return {"--cache-dir", cache_}; }
  static void stop(ServerProcess& server) {
    server.signal(SIGTERM);
    EXPECT_EQ(server.leave(), 0) << server.log();
  }
  std::vector<fs::path> files(const std::string& extension = ".kv") const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(cache_))
      if (entry.path().extension() == extension) files.push_back(entry.path());
    return files;
  }

  std::string cache_;
};

TEST_F(ServeCacheTest, ALongPromptIsPaidForOnce) {
  Json first;
  {
    ServerProcess server(model_, flags());
    first = ask(server, question(1));
    EXPECT_EQ(hits(first), 0);
    EXPECT_EQ(server.metric("hadal_cache_disk_hits_total"), 0);
    // Also while nothing else happens.
    const int pages = first["usage"]["prompt_tokens"].get<int>() / 64;
    EXPECT_TRUE(server.metric_becomes("hadal_cache_disk_writes_total", pages));
    stop(server);
  }
  struct stat info = {};
  ASSERT_EQ(stat(cache_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  const size_t pages = first["usage"]["prompt_tokens"].get<size_t>() / 64;
  ASSERT_GT(pages, 3u);
  EXPECT_EQ(files().size(), pages);
  setenv("HADAL_SERVE_CACHE_DIR", cache_.c_str(), 1);  // the flag's other form
  ServerProcess server(model_);
  unsetenv("HADAL_SERVE_CACHE_DIR");
  EXPECT_EQ(server.metric("hadal_cache_disk_pages"), static_cast<double>(pages));
  const Json second = ask(server, question(1));
  EXPECT_EQ(hits(second), static_cast<int64_t>(pages * 64));
  EXPECT_EQ(second["choices"], first["choices"]);
  EXPECT_EQ(server.metric("hadal_cache_disk_hits_total"), static_cast<double>(pages));
  EXPECT_EQ(server.metric("hadal_cache_disk_misses_total"), 0);
  // Now it is in memory.
  EXPECT_EQ(ask(server, question(1))["choices"], first["choices"]);
  EXPECT_EQ(server.metric("hadal_cache_disk_hits_total"), static_cast<double>(pages));
}

TEST_F(ServeCacheTest, BrokenFilesAreDiscarded) {
  Json first;
  {
    ServerProcess server(model_, flags());
    first = ask(server, question(1));
    stop(server);
  }
  const std::vector<fs::path> all = files();
  for (size_t i = 0; i < all.size(); ++i) {
    std::fstream file(all[i], std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(i * 100));
    file << "broken";
  }
  ServerProcess server(model_, flags());
  const Json second = ask(server, question(1));
  EXPECT_EQ(second["choices"], first["choices"]);
  EXPECT_EQ(hits(second), 0);
  // A step computes several pages at once: those in between are not even looked at.
  const double discarded = server.metric("hadal_cache_disk_discarded_total");
  EXPECT_GE(discarded, 1);
  EXPECT_EQ(files().size(),
            all.size() - static_cast<size_t>(discarded) +
                static_cast<size_t>(server.metric("hadal_cache_disk_writes_total")));
  stop(server);
  EXPECT_NE(server.log().find(".kv: discarded: its "), std::string::npos) << server.log();
}

TEST_F(ServeCacheTest, KilledWhileItWrites) {
  std::vector<Json> expected;
  {
    const ServerProcess server(model_);
    for (int i = 0; i < 4; ++i) expected.push_back(ask(server, question(i)));
  }
  int64_t found = 0;
  for (int round = 0; round < 6; ++round) {
    const ServerProcess server(model_, flags());
    for (int i = 0; i < 4; ++i) {
      const Json answer = ask(server, question(i));
      EXPECT_EQ(answer["choices"], expected[static_cast<size_t>(i)]["choices"]) << round;
      found += hits(answer);
    }
    // While a prompt that nobody knows is computed and written.
    HttpClient client(server.port());
    client.send_post("/chat/completions", question(100 + round).dump());
    usleep(static_cast<useconds_t>(round) * 3000);
  }  // kill -9
  EXPECT_GT(found, 0);
  std::ofstream(files().front().string() + ".part") << "half a page";  // as if in the middle of one
  const ServerProcess server(model_, flags());
  EXPECT_EQ(ask(server, question(0))["choices"], expected[0]["choices"]);
  EXPECT_EQ(server.metric("hadal_cache_disk_discarded_total"), 0);
  EXPECT_TRUE(files(".part").empty());
}

TEST_F(ServeCacheTest, KeysShareNothing) {
  const auto bearer = [](const std::string& name) {
    std::string key = run_program({"key", "create", name}).out;
    while (key.ends_with('\n')) key.pop_back();
    return "Authorization: Bearer " + key + "\r\n";
  };
  const std::string one = bearer("one"), other = bearer("other");
  {
    ServerProcess server(model_, flags());
    EXPECT_EQ(hits(ask(server, question(1), one)), 0);
    stop(server);
  }
  ServerProcess server(model_, flags());
  EXPECT_EQ(hits(ask(server, question(1), other)), 0);
  EXPECT_EQ(server.metric("hadal_cache_disk_hits_total"), -1) << "metrics without a key";
  EXPECT_GT(hits(ask(server, question(1), one)), 0);
  Json user = question(1);
  user["user_id"] = "somebody";
  EXPECT_EQ(hits(ask(server, user, one)), 0);
}

TEST_F(ServeCacheTest, TheLimitHolds) {
  std::vector<std::string> limited = flags();
  limited.insert(limited.end(), {"--cache-disk-limit", "0.001"});
  ServerProcess server(model_, limited);
  for (int i = 0; i < 6; ++i) ask(server, question(i));
  EXPECT_LE(server.metric("hadal_cache_disk_bytes"), 1'000'000);
  EXPECT_EQ(server.metric("hadal_cache_disk_limit_bytes"), 1'000'000);
  EXPECT_GT(server.metric("hadal_cache_disk_evicted_total"), 0);
  stop(server);
  uintmax_t bytes = 0;
  for (const fs::path& path : files()) bytes += fs::file_size(path);
  EXPECT_GT(bytes, 0u);
  EXPECT_LE(bytes, 1'000'000u);
}

TEST_F(ServeCacheTest, AFolderThatOthersMayEnterIsRefused) {
  fs::create_directories(cache_);
  std::ofstream(cache_ + "/something") << "of mine";
  chmod(cache_.c_str(), 0755);
  const Outcome refused = run_program({"serve", model_, "--port", "0", "--cache-dir", cache_});
  EXPECT_NE(refused.code, 0);
  EXPECT_NE(refused.err.find("chmod 700"), std::string::npos) << refused.err;
}

TEST_F(ServeCacheTest, RunHasItToo) {
  const auto run = [&] {
    return Json::parse(run_program({"run", model_, "--json", "-n", "8", "--cache-dir", cache_, "-p",
                                    question(1)["messages"][0]["content"].get<std::string>()})
                           .out);
  };
  const Json first = run(), second = run();
  EXPECT_EQ(first["usage"]["cached_tokens"], 0);
  EXPECT_GT(second["usage"]["cached_tokens"], 100);
  EXPECT_EQ(second["answer"], first["answer"]);
}

}  // namespace
}  // namespace hadal::e2e
