// hadal serve: who gets in, and with how much.
#include "e2e/server_process.h"
#include "e2e/test_model.h"

namespace hadal::e2e {
namespace {

class ServeAccessTest : public ModelTest {
 protected:
  // Makes a key; its text.
  static std::string make_key(const std::string& name,
                              const std::vector<std::string>& limits = {}) {
    std::vector<std::string> arguments = {"key", "create", name};
    arguments.insert(arguments.end(), limits.begin(), limits.end());
    std::string key = run_program(arguments).out;
    while (key.ends_with('\n')) key.pop_back();
    return key;
  }
  static std::string bearer(const std::string& key) {
    return "Authorization: Bearer " + key + "\r\n";
  }
};

std::string ask(int max_tokens) {
  Json body = user_says("Tell me a story.");
  body["max_tokens"] = max_tokens;
  body["ignore_eos"] = true;
  return body.dump();
}

TEST_F(ServeAccessTest, APublicAddressNeedsAKey) {
  const Outcome refused = run_program({"serve", model_, "--host", "0.0.0.0", "--port", "0"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("hadal key create"), std::string::npos) << refused.err;
  const std::string key = make_key("me");
  const ServerProcess server(model_, {"--host", "0.0.0.0"});
  ASSERT_NE(server.port(), 0) << server.log();
  EXPECT_EQ(HttpClient(server.port()).get("/models").status, 401);
  EXPECT_EQ(HttpClient(server.port()).get("/models", bearer(key)).status, 200);
}

TEST_F(ServeAccessTest, OneKeyInEitherHeader) {
  const std::string key = make_key("me");
  const ServerProcess server(model_);
  const auto status = [&](const std::string& headers) {
    return HttpClient(server.port()).get("/v1/models", headers).status;
  };
  EXPECT_EQ(status(""), 401);
  EXPECT_EQ(status(bearer(key)), 200);
  EXPECT_EQ(status("authorization: bearer " + key + "\r\n"), 200);
  EXPECT_EQ(status("X-Api-Key: " + key + "\r\n"), 200);
  EXPECT_EQ(status("x-api-key: " + key + "\r\n" + bearer(key)), 200);
  EXPECT_EQ(status("x-api-key: other\r\n" + bearer(key)), 401);
  EXPECT_EQ(status(bearer(key) + bearer("other")), 401);
  EXPECT_EQ(status(bearer(key.substr(0, key.size() - 1))), 401);
  EXPECT_EQ(status("Authorization: Basic " + key + "\r\n"), 401);
  const Reply refused = HttpClient(server.port()).post("/chat/completions", ask(1));
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.header("www-authenticate"), "Bearer");
  EXPECT_EQ(refused.json()["error"]["type"], "authentication_error");
  EXPECT_EQ(HttpClient(server.port()).get("/livez").status, 200);
  EXPECT_EQ(HttpClient(server.port()).get("/metrics").status, 401);
}

TEST_F(ServeAccessTest, RevokingWorksWhileTheServerRuns) {
  const std::string first = make_key("first"), second = make_key("second");
  const ServerProcess server(model_);
  const auto status = [&](const std::string& key) {
    return HttpClient(server.port()).get("/models", bearer(key)).status;
  };
  EXPECT_EQ(status(first), 200);
  EXPECT_EQ(run_program({"key", "revoke", "first"}).code, 0);
  int waited = 0;
  while (status(first) == 200 && waited++ < 100) usleep(50'000);
  EXPECT_EQ(status(first), 401);
  EXPECT_EQ(status(second), 200);
  // Without keys left the door is closed, not open.
  EXPECT_EQ(run_program({"key", "revoke", "second"}).code, 0);
  while (status(second) == 200 && waited++ < 200) usleep(50'000);
  EXPECT_EQ(status(second), 401);
  EXPECT_EQ(HttpClient(server.port()).get("/models").status, 401);
}

TEST_F(ServeAccessTest, LimitsOfAKey) {
  const std::string quota = make_key("quota", {"--tokens", "30"});
  const std::string rate = make_key("rate", {"--rpm", "2"});
  const std::string context = make_key("context", {"--context", "20"});
  const ServerProcess server(model_);
  const auto chat = [&](const std::string& key, int tokens) {
    return HttpClient(server.port()).post("/chat/completions", ask(tokens), bearer(key));
  };
  EXPECT_EQ(chat(quota, 30).status, 200);
  const Reply spent = chat(quota, 1);
  EXPECT_EQ(spent.status, 402);
  EXPECT_NE(spent.body.find("Insufficient Balance"), std::string::npos) << spent.body;
  const Json balance = HttpClient(server.port()).get("/user/balance", bearer(quota)).json();
  EXPECT_EQ(balance["is_available"], false);

  EXPECT_EQ(chat(rate, 1).status, 200);
  EXPECT_EQ(chat(rate, 1).status, 200);
  const Reply fast = chat(rate, 1);
  EXPECT_EQ(fast.status, 429);
  EXPECT_GE(std::atoi(fast.header("retry-after").c_str()), 1);

  // The bound holds for prompt and answer together.
  const Json within = chat(context, 500).json();
  EXPECT_EQ(within["usage"]["total_tokens"], 20);
  EXPECT_EQ(within["choices"][0]["finish_reason"], "length");
  Json longer = user_says("one two three four five six seven eight nine ten eleven twelve a b c d");
  const Reply refused =
      HttpClient(server.port()).post("/chat/completions", longer.dump(), bearer(context));
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("holds 20"), std::string::npos) << refused.body;
}

TEST_F(ServeAccessTest, UsageSurvivesARestart) {
  const std::string key = make_key("me", {"--tokens", "1000"});
  {
    ServerProcess server(model_);
    HttpClient(server.port()).post("/chat/completions", ask(10), bearer(key));
    server.signal(SIGTERM);
    EXPECT_EQ(server.leave(), 0);
  }
  const Json list = Json::parse(run_program({"key", "list", "--json"}).out);
  EXPECT_GT(list[0]["tokens_used"], 10);
  const ServerProcess server(model_);
  const Json balance = HttpClient(server.port()).get("/user/balance", bearer(key)).json();
  EXPECT_EQ(balance["balance_infos"][0]["total_balance"],
            std::to_string(1000 - list[0]["tokens_used"].get<int>()));
}

TEST_F(ServeAccessTest, ConcurrencyOfAKeyCountsUntilTheAnswerIsComplete) {
  const std::string key = make_key("me", {"--concurrent", "1"});
  const ServerProcess server(model_, {"-c", "1000"});
  Json body = Json::parse(ask(900));
  body["stream"] = true;
  HttpClient busy(server.port());
  busy.send_post("/chat/completions", body.dump(), bearer(key));
  ASSERT_TRUE(busy.wait_for("data: "));
  HttpClient other(server.port());
  const Reply second = other.post("/chat/completions", ask(1), bearer(key));
  // On a fast machine the first may be over.
  if (busy.received().find("[DONE]") == std::string::npos) {
    EXPECT_EQ(second.status, 429);
  }
  EXPECT_TRUE(busy.wait_for("[DONE]"));
  EXPECT_TRUE(busy.wait_for("0\r\n\r\n"));
  int status = 429;
  for (int i = 0; i < 100 && status == 429; ++i) {
    status = HttpClient(server.port()).post("/chat/completions", ask(1), bearer(key)).status;
  }
  EXPECT_EQ(status, 200);
}

TEST_F(ServeAccessTest, KeysAreKeptAsHashesWithMode0600) {
  const std::string key = make_key("me");
  const std::string path = folder_ + "/.local/share/hadal/keys.json";
  std::error_code missing;
  EXPECT_EQ(std::filesystem::status(path, missing).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  std::string text(1 << 16, '\0');
  FILE* file = std::fopen(path.c_str(), "r");
  ASSERT_NE(file, nullptr);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  EXPECT_EQ(text.find(key.substr(9)), std::string::npos);
  EXPECT_EQ(run_program({"key", "create", "me"}).code, 2);  // the name is taken
  EXPECT_EQ(run_program({"key", "revoke", "nobody"}).code, 2);
  EXPECT_EQ(run_program({"key", "limit", "me", "--rpm", "5"}).code, 0);
  EXPECT_EQ(Json::parse(run_program({"key", "list", "--json"}).out)[0]["requests_per_minute"], 5);
}

TEST_F(ServeAccessTest, ForeignHostsAndOriginsStayOut) {
  const ServerProcess server(
      model_, {"--allowed-host", "my.example", "--cors-origin", "https://app.example"});
  const std::string port = std::to_string(server.port());
  const auto status = [&](const std::string& host, const std::string& headers = "") {
    HttpClient client(server.port());
    client.send_text("GET /models HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n");
    return client.read_reply().status;
  };
  EXPECT_EQ(status("localhost:" + port), 200);
  EXPECT_EQ(status("127.0.0.1"), 200);
  EXPECT_EQ(status("[::1]:80"), 200);
  EXPECT_EQ(status("MY.example"), 200);
  EXPECT_EQ(status("evil.example"), 403);
  EXPECT_EQ(status("localhost.evil.example"), 403);
  EXPECT_EQ(status("127.0.0.1.evil.example"), 403);
  const std::string own = "localhost:" + port;
  EXPECT_EQ(status(own, "Origin: http://" + own + "\r\n"), 200);
  EXPECT_EQ(status(own, "Origin: https://app.example\r\n"), 200);
  EXPECT_EQ(status(own, "Origin: https://evil.example\r\n"), 403);
  EXPECT_EQ(status(own, "Origin: null\r\n"), 403);
  EXPECT_EQ(HttpClient(server.port())
                .post("/chat/completions", ask(1), "Sec-Fetch-Site: cross-site\r\n")
                .status,
            403);
  HttpClient client(server.port());
  client.send_text(
      "OPTIONS /chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: "
      "https://app.example\r\nAccess-Control-Request-Headers: x-stainless-os\r\n\r\n");
  const Reply preflight = client.read_reply();
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.header("access-control-allow-origin"), "https://app.example");
  EXPECT_EQ(preflight.header("access-control-allow-headers"), "x-stainless-os");
  // A form, as any page may send it.
  client.send_text(
      "POST /chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
      "Content-Length: 2\r\n\r\n{}");
  EXPECT_EQ(client.read_reply().status, 415);
}

}  // namespace
}  // namespace hadal::e2e
