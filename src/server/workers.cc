#include "server/workers.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/error.h"

namespace hadal::server {
namespace {

constexpr size_t lines_max = 10'000;
constexpr int stuck_ms = 1000;  // how long a line may wait for a pipe

// Gives up if nothing takes the bytes in time.
void write_all(int file, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    pollfd ready = {file, POLLOUT, 0};
    if (poll(&ready, 1, stuck_ms) <= 0) return;
    // A pipe that is ready takes this much without blocking.
    const ssize_t count =
        write(file, text.data() + at, std::min<size_t>(text.size() - at, PIPE_BUF));
    if (count <= 0 && errno != EINTR && errno != EAGAIN) return;
    if (count > 0) at += static_cast<size_t>(count);
  }
}

}  // namespace

Workers::Workers(int threads, size_t waiting_max, std::function<void()> tick)
    : waiting_max_(waiting_max), tick_(std::move(tick)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this, i] { run(i == 0); });
}

void Workers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  arrived_.notify_all();
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

bool Workers::add(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (tasks_.size() >= waiting_max_) return false;
    tasks_.push_back(std::move(task));
  }
  arrived_.notify_one();
  return true;
}

void Workers::run(bool ticks) {
  auto next_tick = std::chrono::steady_clock::now();
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      const auto something = [&] { return stop_ || !tasks_.empty(); };
      if (ticks)
        arrived_.wait_until(lock, next_tick, something);
      else
        arrived_.wait(lock, something);
      if (stop_) return;
      if (!tasks_.empty()) {
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
    }
    if (task) task();
    if (ticks && std::chrono::steady_clock::now() >= next_tick) {
      next_tick = std::chrono::steady_clock::now() + std::chrono::seconds(1);
      tick_();
    }
  }
}

LineLog::LineLog(const std::string& path) {
  if (path.empty()) return;
  file_ = path == "-" ? dup(STDERR_FILENO)
                      : open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (file_ < 0) fail(ErrorKind::file, "{}: cannot be written: {}", path, std::strerror(errno));
  thread_ = std::thread([this] { run(); });
}

LineLog::~LineLog() {
  if (file_ < 0) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  arrived_.notify_all();
  thread_.join();
  close(file_);
}

void LineLog::add(std::string line) {
  if (file_ < 0) return;
  {
    const std::lock_guard lock(mutex_);
    if (lines_.size() >= lines_max) {
      ++dropped_;
      return;
    }
    lines_.push_back(std::move(line));
  }
  arrived_.notify_one();
}

void LineLog::run() {
  while (true) {
    std::string text;
    bool stop = false;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [&] { return stop_ || !lines_.empty(); });
      stop = stop_;
      for (const std::string& line : lines_) text += line + "\n";
      lines_.clear();
      if (dropped_ > 0)
        text += fmt::format("{{\"dropped_log_lines\":{}}}\n", std::exchange(dropped_, 0));
    }
    write_all(file_, text);  // or it is dropped: nobody reads
    if (stop) return;
  }
}

}  // namespace hadal::server
