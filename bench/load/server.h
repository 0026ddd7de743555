// `hadal serve` as a process of its own, seen from outside: its memory and its descriptors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace hadal::bench {

struct ServerOptions {
  std::string program, model;
  int threads = 0;     // 0: as the program chooses
  std::string folder;  // for a certificate and what the server says
};

class Server {
 public:
  // Starts it on a free port and waits until the model is loaded. Throws std::runtime_error with
  // the server's own words.
  Server(const ServerOptions& options, const std::vector<std::string>& flags, bool secure = false);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const { return port_; }
  double resident_mib() const;
  int64_t descriptors() const;
  bool alive();          // still runs
  double cpu_s() const;  // processor seconds so far

 private:
  std::string said() const;
  void wait_for_port();

  const std::string log_;
  pid_t child_ = -1;
  uint16_t port_ = 0;
};

// Lets this process and its children have as many descriptors as the system allows; how many.
int64_t raise_descriptor_limit();

}  // namespace hadal::bench
