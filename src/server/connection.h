// One client's connection. Includes the network library: only http_server.cc may use this.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <unordered_set>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "server/http_server.h"

namespace hadal::server {

// Bytes in and out, plain or by TLS. Errors come as error codes; a closed stream as asio's eof.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual boost::asio::awaitable<bool> handshake() = 0;
  virtual boost::asio::awaitable<size_t> read(char* data, size_t size) = 0;  // 0: closed or broken
  virtual boost::asio::awaitable<bool> write(const char* data, size_t size) = 0;  // all of it
  virtual boost::asio::awaitable<void> shutdown() = 0;  // says that no more will be written
  virtual boost::asio::ip::tcp::socket& socket() = 0;
  virtual bool secure() const = 0;
};

// What the connections of one network thread share.
struct Loop {
  Loop(Handler& the_handler, const HttpOptions& the_options)
      : handler(the_handler), options(the_options) {}
  Handler& handler;
  const HttpOptions& options;
  std::unordered_set<class Connection*> connections;  // outlives io, whose end ends them
  boost::asio::io_context io{1};
  bool draining = false;
  std::atomic<int64_t> timed_out = 0;
};

// Wakes a connection from any thread. A connection must end on its loop's thread, and whoever wakes
// it may be the last who holds what is woken: so that is this, and not the connection.
class Bell : public Waker, public std::enable_shared_from_this<Bell> {
 public:
  Bell(Loop& loop, std::weak_ptr<class Connection> connection)
      : loop_(loop), connection_(std::move(connection)) {}
  void wake() override;

 private:
  Loop& loop_;
  const std::weak_ptr<Connection> connection_;  // locked on the loop's thread alone
  std::atomic<bool> posted_ = false;
};

// On its loop's thread alone.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // ticket: dies with the connection, which is how it is counted.
  Connection(Loop& loop, std::unique_ptr<Transport> transport, std::string peer,
             std::shared_ptr<void> ticket);
  ~Connection();

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<void> watch();
  void answer_moved();  // it has more to say
  const std::string& peer() const { return peer_; }
  bool idle() const { return !reading_; }
  void check_deadline(Clock::time_point now);
  void close();

 private:
  boost::asio::awaitable<bool> serve_one();
  boost::asio::awaitable<bool> read_header(HttpParser& parser);
  boost::asio::awaitable<bool> read_body(HttpParser& parser);
  boost::asio::awaitable<bool> read_more();
  boost::asio::awaitable<bool> reply(const HttpRequest& request, const HttpResponse& response,
                                     bool close);
  boost::asio::awaitable<bool> give_answer(const HttpRequest& request);
  boost::asio::awaitable<bool> write(const std::string& bytes);
  boost::asio::awaitable<void> wait(Clock::time_point until);
  boost::asio::awaitable<void> linger();
  void start_watch();
  void deadline_in(double seconds);
  std::string head_text(const HttpRequest* request, const HttpResponse& response,
                        int64_t length) const;
  void report(const HttpRequest& request, bool cut);

  Loop& loop_;
  std::unique_ptr<Transport> transport_;
  std::string peer_;
  std::shared_ptr<void> ticket_;
  boost::asio::steady_timer signal_;
  std::shared_ptr<Bell> bell_;
  bool woken_ = false;
  Clock::time_point deadline_ = Clock::time_point::max();

  std::string in_;  // bytes that no request has taken yet
  // While an answer is given a read is pending, which tells when the client leaves. What it reads
  // instead is the beginning of the next request.
  std::array<char, 512> watched_;
  bool watching_ = false;
  bool reading_ = false;  // a request has begun, and is not answered yet
  bool gone_ = false;
  bool writing_ = false;

  bool http_10_ = false, close_after_ = false, head_only_ = false;
  std::shared_ptr<Answer> answer_;
  Clock::time_point started_;
  int status_ = 0;
  int64_t bytes_in_ = 0, bytes_out_ = 0;
};

}  // namespace hadal::server
