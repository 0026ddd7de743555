// hadal serve with TLS, and a certificate of its own making.
#include <memory>

#include <openssl/ssl.h>

#include "e2e/certificate.h"
#include "e2e/server_process.h"
#include "e2e/test_model.h"

namespace hadal::e2e {
namespace {

class ServeTlsTest : public ModelTest {
 protected:
  void SetUp() override {
    ModelTest::SetUp();
    if (IsSkipped()) return;
    cert_ = folder_ + "/cert.pem";
    key_ = folder_ + "/key.pem";
    make_certificate(cert_, key_);
  }
  std::string cert_, key_;
};

// A request by TLS, and everything that comes back.
std::string exchange(const HttpClient& client, const std::string& request, int max_version) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                             SSL_CTX_free);
  SSL_CTX_set_max_proto_version(context.get(), max_version);
  const std::unique_ptr<SSL, void (*)(SSL*)> tls(SSL_new(context.get()), SSL_free);
  SSL_set_fd(tls.get(), client.descriptor());
  if (SSL_connect(tls.get()) != 1) return "";
  SSL_write(tls.get(), request.data(), static_cast<int>(request.size()));
  std::string text;
  char buffer[4096];
  for (int count = 1; (count = SSL_read(tls.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(count));
  return text;
}

TEST_F(ServeTlsTest, AnswersAndStreams) {
  const ServerProcess server(model_, {"--tls-cert", cert_, "--tls-key", key_}, false);
  EXPECT_NE(server.log().find("https://"), std::string::npos) << server.log();
  const std::string head = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
  std::string ready;
  for (int i = 0; i < 600 && ready.find(" 200 ") == std::string::npos; ++i) {
    ready = exchange(HttpClient(server.port()), "GET /readyz" + head + "\r\n", TLS1_3_VERSION);
    usleep(20'000);
  }
  ASSERT_NE(ready.find(" 200 "), std::string::npos) << ready;
  Json body = user_says("What is 7 + 5?");
  body["stream"] = true;
  const std::string text = body.dump();
  const std::string request =
      "POST /chat/completions" + head +
      "Content-Type: application/json\r\nContent-Length: " + std::to_string(text.size()) +
      "\r\n\r\n" + text;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const std::string reply = exchange(HttpClient(server.port()), request, version);
    EXPECT_NE(reply.find("data: [DONE]\n\n"), std::string::npos) << reply;
    EXPECT_TRUE(reply.ends_with("0\r\n\r\n"));
  }
  EXPECT_EQ(exchange(HttpClient(server.port()), request, TLS1_1_VERSION), "");
  // Plain HTTP is no handshake.
  HttpClient plain(server.port());
  plain.send_text("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_TRUE(plain.wait_closed(5000));
}

TEST_F(ServeTlsTest, FilesThatCannotBeUsedAreNamed) {
  const auto start = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"serve", model_, "--port", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  };
  EXPECT_EQ(start({"--tls-cert", cert_}).code, 2);
  const Outcome missing = start({"--tls-cert", folder_ + "/none.pem", "--tls-key", key_});
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.err.find("none.pem"), std::string::npos) << missing.err;
  make_certificate(folder_ + "/other.pem", folder_ + "/other_key.pem");
  EXPECT_EQ(start({"--tls-cert", cert_, "--tls-key", folder_ + "/other_key.pem"}).code, 1);
}

}  // namespace
}  // namespace hadal::e2e
