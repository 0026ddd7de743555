// A progress bar with rate and remaining time on stderr, drawn at most ten times a second; nothing
// when stderr is no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace hadal::cli {

enum class ProgressUnit { bytes, tokens, items };

// One line of at most `columns` columns, without line feed.
std::string format_progress(const std::string& label, uint64_t done, uint64_t total,
                            ProgressUnit unit, double elapsed_s, int columns);

class Progress {
 public:
  // total 0: unknown, only counts.
  Progress(std::string label, uint64_t total, ProgressUnit unit);
  ~Progress();  // removes the bar
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // The work done so far, not the step. Cheap: call it as often as is convenient.
  void update(uint64_t done);
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  uint64_t total_;
  ProgressUnit unit_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point next_;
};

}  // namespace hadal::cli
