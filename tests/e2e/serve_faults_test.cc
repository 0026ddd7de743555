// hadal serve where the machine fails it: killed, no room on the disk, no memory.
#include <fstream>
#include <sstream>

#include <sys/resource.h>

#include "e2e/server_process.h"
#include "e2e/test_model.h"

namespace hadal::e2e {
namespace {

class ServeFaultsTest : public ModelTest {
 protected:
  std::string make_key(const std::string& name) {
    std::string key =
        run_program({"key", "create", name, "--tokens", "100000", "--keys", keys()}).out;
    while (key.ends_with('\n')) key.pop_back();
    return "Authorization: Bearer " + key + "\r\n";
  }
  std::string keys() const { return folder_ + "/keys.json"; }
};

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string short_request() {
  Json body = user_says("What is 7 + 5?");
  body["x_hadal"] = {{"receipt", "full"}};
  return body.dump();
}

// As a disk that is full: what a process writes into files fails.
void set_disk_full(pid_t process, bool full) {
  rlimit limit = {full ? 0 : RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(prlimit(process, RLIMIT_FSIZE, &limit, nullptr), 0);
}

double tokens_used(const std::string& keys) {
  const Json list = Json::parse(run_program({"key", "list", "--json", "--keys", keys}).out);
  return list[0]["tokens_used"];
}

TEST_F(ServeFaultsTest, KilledAndStartedAgainItKnowsKeysAndUsage) {
  const std::string key = make_key("me");
  {
    ServerProcess server(model_, {"--keys", keys()});
    EXPECT_EQ(HttpClient(server.port()).post("/chat/completions", short_request(), key).status,
              200);
    for (int i = 0; i < 500 && tokens_used(keys()) == 0; ++i) usleep(20'000);
    HttpClient streaming(server.port());
    Json body = user_says("Tell me a story.");
    body["stream"] = true;
    body["ignore_eos"] = true;
    streaming.send_post("/chat/completions", body.dump(), key);
    ASSERT_TRUE(streaming.wait_for("data: "));
    server.signal(SIGKILL);
    EXPECT_TRUE(streaming.wait_closed(5000));
    EXPECT_EQ(streaming.received().find("[DONE]"), std::string::npos);
  }
  EXPECT_GT(tokens_used(keys()), 10);
  const ServerProcess server(model_, {"--keys", keys()});
  EXPECT_EQ(HttpClient(server.port()).post("/chat/completions", short_request(), key).status, 200);
  EXPECT_EQ(HttpClient(server.port()).post("/chat/completions", short_request()).status, 401);
}

TEST_F(ServeFaultsTest, WithoutRoomOnTheDiskItAnswersAndLosesNothing) {
  const std::string key = make_key("me"), log = folder_ + "/access.log";
  const std::string before = content(keys());
  ServerProcess server(model_, {"--keys", keys(), "--access-log", log});
  const auto ask = [&] {
    return HttpClient(server.port()).post("/chat/completions", short_request(), key);
  };
  usleep(100'000);  // the log's thread has written those of the start
  const std::string logged = content(log);
  set_disk_full(server.pid(), true);
  for (int i = 0; i < 3; ++i) {
    const Reply reply = ask();
    EXPECT_EQ(reply.status, 200);
    EXPECT_FALSE(reply.json()["x_hadal"]["receipt"].is_null()) << reply.body;
    usleep(700'000);  // it tries to save what was used
  }
  EXPECT_EQ(content(keys()), before);
  EXPECT_EQ(tokens_used(keys()), 0);
  EXPECT_EQ(content(log), logged);
  set_disk_full(server.pid(), false);
  EXPECT_EQ(ask().status, 200);
  for (int i = 0; i < 500 && tokens_used(keys()) == 0; ++i) usleep(20'000);
  EXPECT_GT(tokens_used(keys()), 40);  // of all four
  server.signal(SIGTERM);
  EXPECT_EQ(server.leave(), 0);
  std::istringstream lines(content(log).substr(logged.size()));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_TRUE(Json::accept(line)) << line;
}

TEST_F(ServeFaultsTest, AKeyThatCannotBeSavedIsNotMade) {
  make_key("me");
  const std::string before = content(keys());
  rlimit old = {};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit full = {0, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &full);
  const Outcome outcome = run_program({"key", "create", "you", "--keys", keys()});
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("keys.json: cannot be written"), std::string::npos) << outcome.err;
  EXPECT_EQ(content(keys()), before);
}

TEST_F(ServeFaultsTest, ARequestThatMemoryCannotHoldEndsAlone) {
#ifdef HADAL_SANITIZED
  GTEST_SKIP() << "a sanitizer takes the memory that is to run out";
#endif
  const ServerProcess server(model_, {"--max-body", "1024"});
  EXPECT_EQ(HttpClient(server.port()).post("/chat/completions", short_request()).status, 200);
  HttpClient other(server.port());
  // Little more than what it has already; the body would take far more.
  std::ifstream statm("/proc/" + std::to_string(server.pid()) + "/statm");
  uint64_t pages = 0;
  statm >> pages;
  const uint64_t bytes = pages * 4096 + (uint64_t{48} << 20);
  const rlimit limit = {bytes, RLIM_INFINITY};
  ASSERT_EQ(prlimit(server.pid(), RLIMIT_AS, &limit, nullptr), 0);
  HttpClient large(server.port());
  const std::string piece(size_t{1} << 20, ' ');
  large.send_text(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: 300000000\r\n\r\n");
  for (int i = 0; i < 300 && large.send_text(piece); ++i) {
  }
  EXPECT_TRUE(large.wait_closed(20'000));
  EXPECT_EQ(other.post("/chat/completions", short_request()).status, 200);
  EXPECT_EQ(HttpClient(server.port()).get("/readyz").status, 200);
}

TEST_F(ServeFaultsTest, ACacheThatCannotBeSaysSo) {
  const Outcome huge =
      run_program({"serve", model_, "--port", "0", "--cache-tokens", "1000000000000"});
  EXPECT_EQ(huge.code, 1);
  EXPECT_NE(huge.err.find("attention cache"), std::string::npos) << huge.err;
  // A small one bounds the context, and the request says it with both numbers.
  const ServerProcess server(model_, {"--cache-tokens", "64"});
  std::string text;
  for (int i = 0; i < 100; ++i) text += " cat";
  const Reply reply = HttpClient(server.port()).post("/chat/completions", user_says(text).dump());
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("64"), std::string::npos) << reply.body;
}

}  // namespace
}  // namespace hadal::e2e
