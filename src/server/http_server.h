// The network side: accepts connections, reads requests, writes answers. Each network thread has an
// event loop of its own, and a connection stays on one thread for life.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/http.h"
#include "server/http_parser.h"

namespace hadal::server {

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0: a free one
  int threads = 2;
  std::string tls_cert, tls_key;  // PEM files; both or neither
  ParserLimits limits;
  int64_t connections_max = 10'000;
  int64_t connections_per_peer = 0;  // 0: no bound of its own

  // Deadlines in seconds. A body and a write may take longer by 1 s for each 64 KiB.
  double handshake_s = 10, header_s = 10, body_s = 30, write_s = 20, idle_s = 60;
  double drain_s = 30;  // from the first signal until what still runs is ended
};

// The counters of the network, for metrics.
struct HttpLoad {
  int64_t connections = 0, accepted = 0, refused = 0, timed_out = 0;
};

class HttpServer {
 public:
  // Opens the port. The handler must outlive the server. Throws Error(file) if the address cannot
  // be had or the TLS files cannot be used, Error(usage) if the host is no address.
  HttpServer(const HttpOptions& options, Handler& handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url() const;  // "http://127.0.0.1:8080"
  // Serves until SIGTERM, SIGINT or stop(), and until what ran then has ended or drain_s are over.
  // A second signal ends it at once.
  void run();
  // Any thread; the same as the first signal.
  void stop();
  HttpLoad load() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hadal::server
