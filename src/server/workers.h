// Threads for what would hold up the network: reading JSON, tokenising prompts. And one thread that
// writes the access log.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hadal::server {

class Workers {
 public:
  // tick: called about once a second on one of the threads.
  Workers(int threads, size_t waiting_max, std::function<void()> tick);
  ~Workers() { stop(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Waits for what runs, and drops the rest; nothing runs any more then.
  void stop();
  // False if too much waits. Tasks must not throw.
  bool add(std::function<void()> task);

 private:
  void run(bool ticks);

  const size_t waiting_max_;
  std::function<void()> tick_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

// Lines to a file or stderr, from a thread of its own: a full pipe or disk must not stop the
// server. What cannot be kept is dropped, and the number of such lines is told.
class LineLog {
 public:
  // path: "-" is stderr, "" is nowhere. Throws Error(file).
  explicit LineLog(const std::string& path);
  ~LineLog();
  LineLog(const LineLog&) = delete;
  LineLog& operator=(const LineLog&) = delete;

  void add(std::string line);

 private:
  void run();

  int file_ = -1;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::string> lines_;
  size_t dropped_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace hadal::server
