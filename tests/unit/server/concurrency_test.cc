// The whole server in this process, used by many threads at once: under ThreadSanitizer (.ci/run
// tsan) every hand-over between network, workers, engine and log is watched.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "e2e/http_client.h"
#include "server/http_server.h"
#include "server/service.h"

namespace hadal::server {
namespace {

using e2e::HttpClient;
using Json = e2e::Json;

constexpr const char* kModel = HADAL_SOURCE_DIR "/models/seed-q8_0.gguf";

class Running {
 public:
  explicit Running(const std::string& folder)
      : service_(service_options(folder), [this] { server_.stop(); }),
        server_(http_options(), service_),
        thread_([this] {
          service_.start([this] { return server_.load(); });
          server_.run();
          service_.stop();
        }) {
    const std::string url = server_.url();
    port_ = static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
    while (service_.status().state == EngineHost::State::loading) usleep(10'000);
  }
  void stop() { server_.stop(); }
  void join() { thread_.join(); }
  uint16_t port() const { return port_; }

 private:
  static ServiceOptions service_options(const std::string& folder) {
    ServiceOptions options;
    options.model.path = kModel;
    options.model.threads = 2;
    options.model.engine.sequences_max = 4;
    options.model.engine.context_tokens = 256;
    options.model.engine.cache_tokens = 512;  // sequences have to take pages from each other
    options.access.keys_path = folder + "/keys.json";
    options.access_log = folder + "/access.log";
    options.keep_alive_s = 0.05;
    return options;
  }
  static HttpOptions http_options() {
    HttpOptions options;
    options.port = 0;
    options.drain_s = 1;
    return options;
  }

  Service service_;
  HttpServer server_;
  std::thread thread_;
  uint16_t port_ = 0;
};

std::string question(int i, bool stream) {
  return Json{{"messages", {{{"role", "user"}, {"content", "What is " + std::to_string(i) + "?"}}}},
              {"stream", stream},
              {"ignore_eos", true},
              {"n", 1 + i % 2},
              {"max_tokens", 4 + i % 5}}
      .dump();
}

// One of everything; whether it was answered as it should be.
bool use(uint16_t port, int i) {
  HttpClient client(port);
  switch (i % 8) {
    case 0:
      return client.post("/chat/completions", question(i, true)).events().back() == "[DONE]";
    case 1:
      return client.post("/v1/chat/completions", question(i, false)).status == 200;
    case 2:  // leaves in the middle
      client.send_post("/chat/completions", question(i, true));
      return client.wait_for("data: ");
    case 3:  // leaves before anything has come
      client.send_post("/chat/completions", question(i, false));
      return true;
    case 4:
      return client.get("/metrics").status == 200 && client.get("/readyz").status == 200;
    case 5:
      return client.post("/chat/completions", "{").status == 400;
    case 6:
      return client.post("/v1/embeddings", R"({"input":"cat"})").status == 200;
    default:
      return client.post("/tokenize", R"({"content":"cat"})").status == 200;
  }
}

TEST(Concurrency, ManyThreadsOfClientsAndAnEndInTheMiddle) {
  if (!std::filesystem::exists(kModel)) GTEST_SKIP() << "no bundled model";
  const std::string folder =
      ::testing::TempDir() + "/hadal_concurrency_" + std::to_string(getpid());
  std::filesystem::create_directories(folder);
  {
    Running running(folder);
    std::atomic<int> wrong = 0;
    std::vector<std::thread> clients;
    for (int thread = 0; thread < 4; ++thread) {
      clients.emplace_back([&, thread] {
        for (int i = 0; i < 16; ++i) wrong += use(running.port(), thread * 3 + i) ? 0 : 1;
      });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(wrong, 0);
    // Streams run while the server is told to go.
    std::vector<std::unique_ptr<HttpClient>> last;
    for (int i = 0; i < 6; ++i) {
      last.push_back(std::make_unique<HttpClient>(running.port()));
      last.back()->send_post("/chat/completions", question(0, true));
    }
    EXPECT_TRUE(last[0]->wait_for("data: "));
    running.stop();
    for (const auto& client : last)
      EXPECT_TRUE(client->wait_closed(30'000) ||
                  client->received().find("[DONE]") != std::string::npos);
    running.join();
  }
  std::ifstream log(folder + "/access.log");
  int lines = 0;
  for (std::string line; std::getline(log, line); ++lines) EXPECT_TRUE(Json::accept(line)) << line;
  EXPECT_GE(lines, 64);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace hadal::server
