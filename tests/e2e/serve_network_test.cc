// hadal serve and clients that misbehave, leave, or wait.
#include <array>
#include <fstream>
#include <thread>

#include "e2e/server_process.h"
#include "e2e/test_model.h"

namespace hadal::e2e {
namespace {

using namespace std::string_literals;  // texts with zeros in them

using ServeNetworkTest = ModelTest;

// A request that runs for as long as the context allows.
std::string long_request(bool stream, int n = 1) {
  Json body = user_says("Tell me a story.");
  body["ignore_eos"] = true;
  body["stream"] = stream;
  body["n"] = n;
  body["temperature"] = 1.0;
  body["seed"] = 1;
  return body.dump();
}

TEST_F(ServeNetworkTest, LivesWhileTheModelIsLoadedAndSaysWhyItFails) {
  ServerProcess server(folder_ + "/no-such-model.gguf", {}, false);
  EXPECT_EQ(server.port(), 0);
  EXPECT_EQ(server.leave(), 1) << server.log();
  const std::string broken = folder_ + "/broken.gguf";
  FILE* file = std::fopen(broken.c_str(), "w");
  std::fputs("GGUFnothing", file);
  std::fclose(file);
  ServerProcess failing(broken, {}, false);
  EXPECT_NE(failing.port(), 0);  // the port is open before the model is looked at
  EXPECT_EQ(failing.leave(), 1);
  EXPECT_NE(failing.log().find("broken.gguf"), std::string::npos) << failing.log();
}

TEST_F(ServeNetworkTest, AClientThatLeavesEndsItsRequest) {
  const ServerProcess server(model_, {"--parallel", "1"});
  for (const bool stream : {true, false}) {
    const double before = server.metric("hadal_finished_total{reason=\"cancelled\"}");
    HttpClient client(server.port());
    client.send_post("/chat/completions", long_request(stream, 8));
    ASSERT_TRUE(server.metric_becomes("hadal_running", 1));
    client.leave();
    ASSERT_TRUE(server.metric_becomes("hadal_running", 0));
    EXPECT_GT(server.metric("hadal_finished_total{reason=\"cancelled\"}"), before);
  }
}

TEST_F(ServeNetworkTest, WaitingClientsGetSignsOfLife) {
  const ServerProcess server(model_, {"--parallel", "1", "--keep-alive", "0.05"});
  HttpClient first(server.port()), streamed(server.port()), whole(server.port());
  first.send_post("/chat/completions", long_request(false, 4));
  ASSERT_TRUE(server.metric_becomes("hadal_running", 1));
  Json body = user_says("What is 7 + 5?");
  whole.send_post("/chat/completions", body.dump());
  body["stream"] = true;
  streamed.send_post("/chat/completions", body.dump());
  EXPECT_TRUE(streamed.wait_for(": keep-alive\n\n"));
  const Reply events = streamed.read_reply();
  EXPECT_EQ(events.events().back(), "[DONE]");
  const Reply answer = whole.read_reply();
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.body.starts_with("\n")) << answer.body;
  EXPECT_EQ(answer.json()["choices"][0]["message"]["content"], "7 + 5 = 12");
  EXPECT_EQ(first.read_reply().json()["choices"].size(), 4u);
}

TEST_F(ServeNetworkTest, AFullQueueTellsToComeBack) {
  const ServerProcess server(model_, {"--queue", "1"});
  HttpClient first(server.port());
  first.send_post("/chat/completions", long_request(true, 8));
  ASSERT_TRUE(first.wait_for("data: "));
  HttpClient second(server.port());
  const Reply reply = second.post("/chat/completions", long_request(false));
  if (first.received().find("[DONE]") == std::string::npos) {
    EXPECT_EQ(reply.status, 429);
    EXPECT_NE(reply.header("retry-after"), "");
  }
}

TEST_F(ServeNetworkTest, NobodyWaitsWhileLargeBodiesAreRead) {
  const ServerProcess server(model_);
  const std::string large = user_says(std::string(16 << 20, 'a')).dump();
  std::array<HttpClient, 3> slow = {HttpClient(server.port()), HttpClient(server.port()),
                                    HttpClient(server.port())};
  for (HttpClient& client : slow) client.send_post("/chat/completions", large);
  HttpClient quick(server.port());
  EXPECT_EQ(quick.post("/chat/completions", user_says("Hi").dump()).status, 200);
  EXPECT_EQ(quick.get("/metrics").body.find("status=\"400\""), std::string::npos);
  for (HttpClient& client : slow)
    EXPECT_EQ(client.read_reply().json()["error"]["code"], "context_length_exceeded");
}

TEST_F(ServeNetworkTest, ATermSignalLetsAnswersEnd) {
  ServerProcess server(model_);
  HttpClient idle(server.port()), busy(server.port());
  EXPECT_EQ(idle.get("/livez").status, 200);
  busy.send_post("/chat/completions", long_request(true, 2));
  ASSERT_TRUE(busy.wait_for("data: "));
  server.signal(SIGTERM);
  EXPECT_TRUE(idle.wait_closed(5000));
  // Who comes meanwhile is told to come back, and silence holds up nothing.
  HttpClient silent(server.port()), late(server.port());
  EXPECT_EQ(late.get("/readyz").status, 503);
  EXPECT_TRUE(late.wait_closed(5000));
  const Reply refused = HttpClient(server.port()).post("/chat/completions", long_request(false));
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.header("retry-after"), "");
  const Reply reply = busy.read_reply();
  EXPECT_EQ(reply.events().back(), "[DONE]");
  EXPECT_EQ(reply.body.find("insufficient_system_resource"), std::string::npos);
  EXPECT_NE(reply.body.find("\"length\""), std::string::npos);
  EXPECT_EQ(server.leave(), 0);
}

TEST_F(ServeNetworkTest, WhatIsNotDoneInTimeIsEndedInSo) {
  ServerProcess server(model_, {"--drain", "0", "--parallel", "1"});
  HttpClient busy(server.port());
  busy.send_post("/chat/completions", long_request(true, 16));
  ASSERT_TRUE(busy.wait_for("data: "));
  server.signal(SIGTERM);
  const Reply reply = busy.read_reply();
  EXPECT_EQ(reply.events().back(), "[DONE]");
  EXPECT_NE(reply.body.find("insufficient_system_resource"), std::string::npos);
  EXPECT_EQ(server.leave(), 0);
}

TEST_F(ServeNetworkTest, ClientsThatDoNotReadAreCutAndOthersNot) {
  const ServerProcess server(model_, {"--write-timeout", "1", "--queue", "4"});
  HttpClient deaf(server.port(), 2048);
  deaf.send_post("/chat/completions", long_request(true, 16));
  Json body = user_says("What is 7 + 5?");
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(HttpClient(server.port()).post("/chat/completions", body.dump()).status, 200);
    usleep(20'000);
  }
  EXPECT_TRUE(server.metric_becomes("hadal_answers_cut_total", 1));
  EXPECT_TRUE(server.metric_becomes("hadal_running", 0));
}

TEST_F(ServeNetworkTest, SlowAndIdleConnectionsAreClosed) {
  const ServerProcess server(model_, {"--header-timeout", "0.3", "--idle-timeout", "0.6"});
  HttpClient slow(server.port()), idle(server.port()), silent(server.port());
  slow.send_text("GET /livez HTTP/1.1\r\nHost: loc");
  EXPECT_EQ(idle.get("/livez").status, 200);
  EXPECT_TRUE(slow.wait_closed(3000));
  EXPECT_TRUE(idle.wait_closed(3000));
  EXPECT_TRUE(silent.wait_closed(3000));
}

TEST_F(ServeNetworkTest, RequestsInOnePieceAreAnsweredInOrder) {
  const ServerProcess server(model_);
  HttpClient client(server.port());
  const std::string body = user_says("What is 7 + 5?").dump();
  std::string all = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
  all +=
      "POST /chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  all += "HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
  client.send_text(all);
  EXPECT_EQ(client.read_reply().body, R"({"status":"alive"})");
  EXPECT_NE(client.read_reply().body.find("7 + 5 = 12"), std::string::npos);
  EXPECT_TRUE(client.wait_for("content-length: 18"));
  EXPECT_TRUE(client.wait_for("\r\n\r\n"));
  EXPECT_TRUE(client.received().ends_with("\r\n\r\n"));
}

// One byte at a time, and in every cut of a short request.
TEST_F(ServeNetworkTest, RequestsMayComeInAnyPieces) {
  const ServerProcess server(model_);
  const std::string request =
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n8\r\n{\"conten\r\n9\r\nt\":\"cat\"}\r\n0\r\n\r\n";
  HttpClient client(server.port());
  for (size_t cut = 1; cut < request.size(); cut += 3) {
    client.send_text(request.substr(0, cut));
    client.send_text(request.substr(cut));
    EXPECT_EQ(client.read_reply().status, 200) << cut;
  }
  for (const char c : request) client.send_text(std::string(1, c));
  EXPECT_EQ(client.read_reply().status, 200);
}

TEST_F(ServeNetworkTest, AmbiguousRequestsAreRefusedAndTheConnectionClosed) {
  const ServerProcess server(model_);
  const std::string post = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\n";
  const std::string json = "Content-Type: application/json\r\n";
  const std::string smuggled = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::vector<std::string> requests = {
      post + json + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + json + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
      post + json + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
      post + json + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
      post + json + "Content-Length: 2, 2\r\n\r\n{}",
      post + json + "Content-Length: -1\r\n\r\n",
      post + json + "Content-Length: +2\r\n\r\n{}",
      post + json + "Content-Length: 0x2\r\n\r\n{}",
      post + json + "Content-Length: 99999999999999999999\r\n\r\n",
      post + json + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
      post + json + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      post + json + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + json + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
      post + json + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
      post + json + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
      post + json + "Content-Length\r\n\r\n",
      "POST /tokenize HTTP/1.0\r\n" + json + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET /livez HTTP/1.1\r\n\r\n",
      "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
      "GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n",
      "GET /li\x01vez HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /livez HTTP/1.1\nHost: localhost\n\n",
      "GET /livez\0 HTTP/1.1\r\nHost: localhost\r\n\r\n"s,
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"s,
  };
  for (const std::string& request : requests) {
    HttpClient client(server.port());
    client.send_text(request + smuggled);
    EXPECT_TRUE(client.wait_closed(5000)) << request;
    EXPECT_EQ(client.received().find("alive"), std::string::npos) << request;
    EXPECT_EQ(client.received().find(" 200 "), std::string::npos) << request;
  }
  EXPECT_EQ(HttpClient(server.port()).get("/livez").status, 200);
}

TEST_F(ServeNetworkTest, SizesAreBounded) {
  const ServerProcess server(model_, {"--max-body", "0.01"});
  EXPECT_EQ(
      HttpClient(server.port()).get("/livez", "X: " + std::string(20'000, 'x') + "\r\n").status,
      431);
  EXPECT_EQ(HttpClient(server.port()).post("/tokenize", std::string(20'000, ' ')).status, 413);
  HttpClient chunked(server.port());
  chunked.send_text(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n4e20\r\n" +
      std::string(20'000, ' '));
  EXPECT_EQ(chunked.read_reply().status, 413);
  HttpClient patient(server.port());
  patient.send_text(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: 17\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(patient.wait_for("100 Continue"));
  patient.send_text(R"({"content":"cat"})");
  EXPECT_EQ(patient.read_reply().status, 200);
}

TEST_F(ServeNetworkTest, ConnectionsAreBounded) {
  const ServerProcess server(model_, {"--max-connections", "3"});
  ASSERT_TRUE(server.metric_becomes("hadal_connections", 1));  // those of the start are gone
  usleep(50'000);                                              // and this one, too
  HttpClient a(server.port()), b(server.port()), c(server.port());
  EXPECT_EQ(a.get("/livez").status, 200);
  EXPECT_EQ(b.get("/livez").status, 200);
  EXPECT_EQ(c.get("/livez").status, 200);
  HttpClient d(server.port());
  EXPECT_TRUE(d.wait_closed(5000));
  a.leave();
  int status = 0;
  for (int i = 0; i < 100 && status != 200; ++i) {
    status = HttpClient(server.port()).get("/livez").status;
    usleep(10'000);
  }
  EXPECT_EQ(status, 200);
}

TEST_F(ServeNetworkTest, ClientsMayLeaveAtAnyByteOfAStream) {
  const ServerProcess server(model_);
  Json body = user_says("What is 7 + 5?");
  body["stream"] = true;
  HttpClient whole(server.port());
  whole.send_post("/chat/completions", body.dump(), "Connection: close\r\n");
  ASSERT_TRUE(whole.wait_closed(10'000));
  for (size_t bytes = 0; bytes < whole.received().size(); bytes += 61) {
    HttpClient client(server.port());
    client.send_post("/chat/completions", body.dump(), "Connection: close\r\n");
    client.wait_size(bytes);
  }
  EXPECT_TRUE(server.metric_becomes("hadal_running", 0));
  EXPECT_TRUE(server.metric_becomes("hadal_connections", 1));
  EXPECT_EQ(server.metric("hadal_finished_total{reason=\"error\"}"), 0);
}

TEST_F(ServeNetworkTest, TheAccessLogHasNumbersAndNoWords) {
  const std::string path = folder_ + "/access.log";
  std::string id;
  {
    ServerProcess server(model_, {"--access-log", path});
    const Reply reply =
        HttpClient(server.port())
            .post("/chat/completions", user_says("What is the capital of France?").dump());
    id = reply.header("x-request-id");
    HttpClient(server.port()).get("/nothing?secret=word");
    server.signal(SIGTERM);
    EXPECT_EQ(server.leave(), 0);
  }
  std::ifstream file(path);
  bool found = false;
  for (std::string line; std::getline(file, line);) {
    const Json json = Json::parse(line);
    EXPECT_EQ(line.find("France"), std::string::npos);
    EXPECT_EQ(line.find("Paris"), std::string::npos);
    EXPECT_EQ(line.find("secret"), std::string::npos);
    if (json["id"] != id) continue;
    found = true;
    EXPECT_EQ(json["status"], 200);
    EXPECT_GT(json["prompt_tokens"], 0);
    EXPECT_GT(json["completion_tokens"], 0);
    EXPECT_EQ(json["finish"], "stop");
  }
  EXPECT_TRUE(found);
}

TEST_F(ServeNetworkTest, Http10GetsABodyUntilTheEnd) {
  const ServerProcess server(model_);
  HttpClient client(server.port());
  Json body = user_says("What is 7 + 5?");
  body["stream"] = true;
  const std::string text = body.dump();
  client.send_text(
      "POST /chat/completions HTTP/1.0\r\nContent-Type: application/json\r\n"
      "Content-Length: " +
      std::to_string(text.size()) + "\r\n\r\n" + text);
  EXPECT_TRUE(client.wait_closed(10'000));
  EXPECT_EQ(client.received().find("chunked"), std::string::npos);
  EXPECT_TRUE(client.received().ends_with("data: [DONE]\n\n")) << client.received();
}

}  // namespace
}  // namespace hadal::e2e
