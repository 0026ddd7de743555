// HTTP/1.1 requests from bytes, as they come. Boost.Beast reads them; on top of what it refuses
// come the rules that keep a proxy in front and this server of one mind about where a request ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/http.h"

namespace hadal::server {

struct ParserLimits {
  uint32_t header_bytes = 16 << 10;
  uint64_t body_bytes = uint64_t{32} << 20;
};

class HttpParser {
 public:
  explicit HttpParser(const ParserLimits& limits);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // Takes bytes from the front and returns how many; the rest is to be offered again with what
  // follows. Stops behind the header once, so that it can be looked at before the body is taken.
  size_t feed(std::string_view bytes);
  bool failed() const { return status_ != 0; }
  bool header_done() const;
  bool done() const;

  // When failed(): what to answer before the connection is closed.
  int status() const { return status_; }
  const std::string& message() const { return message_; }

  // When header_done(). The request without its body.
  const HttpRequest& head() const { return head_; }
  uint64_t content_length() const;  // 0 if it is not said
  bool wants_continue() const;      // Expect: 100-continue
  bool keep_alive() const;
  bool is_http_10() const;

  // When done(): the request with its body.
  HttpRequest take();

 private:
  struct Impl;
  void fail(int status, std::string message);
  void read_head();

  std::unique_ptr<Impl> impl_;
  HttpRequest head_;
  int status_ = 0;
  std::string message_;
};

}  // namespace hadal::server
