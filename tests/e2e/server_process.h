// `hadal serve` as a process of its own.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "e2e/http_client.h"
#include "e2e/process.h"

namespace hadal::e2e {

class ServerProcess {
 public:
  // Starts it on a free port and waits until the model is loaded.
  explicit ServerProcess(const std::string& model, const std::vector<std::string>& more = {},
                         bool ready = true) {
    std::vector<std::string> arguments = {"serve", model, "--port", "0"};
    if (std::find(more.begin(), more.end(), "--access-log") == more.end())
      arguments.insert(arguments.end(), {"--access-log", ""});
    arguments.insert(arguments.end(), more.begin(), more.end());
    int err[2];
    if (pipe2(err, O_CLOEXEC) != 0) return;
    child_ = fork();
    if (child_ == 0) {
      dup2(err[1], STDERR_FILENO);
      become_program(arguments);
    }
    close(err[1]);
    err_ = err[0];
    const std::string mark = "listening on ";
    while (log_.find(mark) == std::string::npos ||
           log_.find('\n', log_.find(mark)) == std::string::npos)
      if (!read_log()) return;
    const size_t colon = log_.rfind(':', log_.find('\n', log_.find(mark)));
    port_ = static_cast<uint16_t>(std::atoi(log_.c_str() + colon + 1));
    for (int i = 0; ready && i < 1200 && HttpClient(port_).get("/readyz").status != 200; ++i)
      usleep(50'000);
  }
  ~ServerProcess() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      wait_code(child_);
    }
    if (err_ >= 0) close(err_);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  uint16_t port() const { return port_; }  // 0: it did not start
  const std::string& log() const { return log_; }
  pid_t pid() const { return child_; }
  void signal(int number) const { kill(child_, number); }
  // The exit code, once it has left.
  int leave() {
    while (read_log()) {
    }
    const int code = wait_code(child_);
    child_ = -1;
    return code;
  }
  // A counter of /metrics, -1 if there is none.
  double metric(const std::string& name) const {
    const std::string text = "\n" + HttpClient(port_).get("/metrics").body;
    const size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::atof(text.c_str() + at + name.size() + 2);
  }
  // Waits until it has the value.
  bool metric_becomes(const std::string& name, double value, int timeout_ms = 10'000) const {
    for (int waited = 0; waited < timeout_ms; waited += 20) {
      if (metric(name) == value) return true;
      usleep(20'000);
    }
    return false;
  }

 private:
  bool read_log() {
    char buffer[4096];
    const ssize_t count = read(err_, buffer, sizeof buffer);
    if (count <= 0) return false;
    log_.append(buffer, static_cast<size_t>(count));
    return true;
  }

  pid_t child_ = -1;
  int err_ = -1;
  uint16_t port_ = 0;
  std::string log_;
};

inline Json user_says(const std::string& text) {
  return {{"messages", {{{"role", "user"}, {"content", text}}}}};
}

}  // namespace hadal::e2e
