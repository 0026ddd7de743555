// A client for load: thousands of connections on one thread, plain or by TLS, none of which the
// caller waits for. It can also do what no decent client does: read nothing, or leave.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>

#include "response.h"

namespace hadal::bench {

struct CallOptions {
  std::string method = "POST", path = "/v1/chat/completions", body;
  std::string headers;        // more lines, each with its end
  int receive_buffer = 0;     // > 0: the kernel keeps no more for us
  bool reads = true;          // false: says what it wants, and never looks at the answer
  int64_t leaves_after = -1;  // events; it closes the connection then
};

// A request on a connection of its own, and what has come of it so far.
class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(class LoadClient& client, CallOptions options);
  void start();
  boost::asio::awaitable<void> run();
  void leave();  // now

  bool ended() const { return ended_; }  // answered, left, or given up by the server
  bool sent() const { return sent_s_ > 0; }
  const ResponseReader& response() const { return reader_; }
  // In seconds of LoadClient::now().
  double begin_s() const { return begin_s_; }
  double end_s() const { return end_s_; }
  const std::vector<double>& event_s() const { return event_s_; }  // of a stream
  int64_t events() const { return static_cast<int64_t>(event_s_.size()); }
  const std::string& last_event() const { return last_; }
  const std::string& before_last() const { return before_last_; }

 private:
  boost::asio::awaitable<void> exchange();
  boost::asio::awaitable<bool> open();
  boost::asio::awaitable<bool> send(std::string text);
  boost::asio::awaitable<size_t> read(char* data, size_t size);

  LoadClient& client_;
  const CallOptions options_;
  boost::asio::ip::tcp::socket socket_;
  std::unique_ptr<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
  ResponseReader reader_;
  double begin_s_ = 0, sent_s_ = 0, end_s_ = 0;
  std::vector<double> event_s_;
  std::string last_, before_last_;
  bool ended_ = false;
};

class LoadClient {
 public:
  using Condition = std::function<bool()>;

  LoadClient(uint16_t port, bool secure);

  std::shared_ptr<Call> start(CallOptions options);
  // Goes on until the condition holds; false if it does not within the time.
  bool run_until(const Condition& condition, double seconds);
  void run_for(double seconds);
  // A whole request; status 0 if there was no answer.
  std::shared_ptr<Call> ask(CallOptions options, double seconds = 60);
  // A counter of /metrics; -1 if there is none.
  double metric(const std::string& name);
  bool metric_becomes(const std::string& name, double value, double seconds);

  double now() const;  // seconds since this client was made

 private:
  friend class Call;
  boost::asio::io_context io_{1};
  const uint16_t port_;
  std::unique_ptr<boost::asio::ssl::context> tls_;
  const std::chrono::steady_clock::time_point origin_ = std::chrono::steady_clock::now();
};

}  // namespace hadal::bench
