// What the network layer and the rest of the server have in common: requests, responses, and
// answers that grow. No sockets and no library types, so everything behind it can be tested without
// a network, and the HTTP library stays in three files.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hadal::server {

using Clock = std::chrono::steady_clock;
using Headers = std::vector<std::pair<std::string, std::string>>;

struct Caller;  // access.h: who asks

struct HttpRequest {
  std::string method;
  std::string path;   // of the target, not decoded: no route has an escape in it
  std::string query;  // behind the '?', "" if there is none
  Headers headers;    // names in lower case
  std::string body;
  std::string peer;     // the client's address
  bool secure = false;  // came by TLS
  std::string id;       // x-request-id of the response
  std::shared_ptr<const Caller> caller;

  // The first header of that (lower-case) name, nullptr if there is none.
  const std::string* header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  Headers headers;  // besides those of length, type and connection
  std::string body;
};

// Whom to tell that an answer has more to say. Implementations may be called from any thread.
class Waker {
 public:
  virtual ~Waker() = default;
  virtual void wake() = 0;
};

// What an answer adds to the access log.
struct AnswerLog {
  std::string model, finish, error;
  int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  double queue_ms = 0, first_token_ms = 0;
};

// A response that comes piece by piece. The network thread takes what there is, writes it, and
// comes back when it is woken or at the time that the piece named.
class Answer {
 public:
  struct Part {
    bool begins = false;    // `response` holds status, type and headers (its body is not used)
    HttpResponse response;  // begins
    std::string bytes;      // of the body
    bool ends = false;
    Clock::time_point again = Clock::time_point::max();
  };

  virtual ~Answer() = default;
  // Called once, before anything else.
  virtual void start(std::weak_ptr<Waker> waker) = 0;
  // What is new since the last call; the first part that has bytes or ends also begins.
  virtual Part take(Clock::time_point now) = 0;
  // Nobody will read the rest: the client is gone, or too slow.
  virtual void abandon() = 0;
  virtual AnswerLog log() const { return {}; }
};

// An answer that is known from the start.
class ReadyAnswer : public Answer {
 public:
  explicit ReadyAnswer(HttpResponse response) : response_(std::move(response)) {}
  void start(std::weak_ptr<Waker>) override {}
  Part take(Clock::time_point now) override;
  void abandon() override {}

 private:
  HttpResponse response_;
};

// How a request went, for log and metrics.
struct Exchange {
  std::string id, method, path, peer, key;
  int status = 0;
  int64_t bytes_in = 0, bytes_out = 0;  // of the bodies
  double ms = 0;
  bool cut = false;  // the client left, or was too slow
  AnswerLog answer;
};

// The application. Called from the network threads: it must not block.
class Handler {
 public:
  virtual ~Handler() = default;
  // Called when the header is there, before the body is read. Sets request.id and request.caller;
  // a response refuses the request.
  virtual std::optional<HttpResponse> open(HttpRequest& request) = 0;
  virtual std::shared_ptr<Answer> handle(HttpRequest request) = 0;
  // The response to what is no HTTP request, or breaks a limit of the protocol.
  virtual HttpResponse refuse(int status, const std::string& message) = 0;
  // Headers that every response to the request carries; request is null where there is none.
  virtual Headers common_headers(const HttpRequest* request) = 0;
  virtual void finished(const Exchange& exchange) = 0;

  // The server wants to stop: take no more work.
  virtual void drain() = 0;
  // Time is up: end what still runs.
  virtual void end_all() = 0;
};

std::string_view reason_phrase(int status);

}  // namespace hadal::server
