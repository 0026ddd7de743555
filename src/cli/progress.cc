#include "cli/progress.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/human.h"

namespace hadal::cli {
namespace {

std::string amount(double value, ProgressUnit unit) {
  switch (unit) {
    case ProgressUnit::bytes:
      return format_bytes(value);
    case ProgressUnit::tokens:
      return format_count(value) + " tokens";
    case ProgressUnit::items:
      return format_count(value);
  }
  return "";
}

int terminal_columns() {
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

std::string format_progress(const std::string& label, uint64_t done, uint64_t total,
                            ProgressUnit unit, double elapsed_s, int columns) {
  const double rate = elapsed_s > 0 ? static_cast<double>(done) / elapsed_s : 0;
  std::string tail = fmt::format(" {}", amount(static_cast<double>(done), unit));
  if (rate > 0) tail += fmt::format(", {}/s", amount(rate, unit));
  if (total == 0) return (label + ":" + tail).substr(0, static_cast<size_t>(std::max(columns, 0)));

  done = std::min(done, total);
  const double share = static_cast<double>(done) / static_cast<double>(total);
  if (rate > 0 && done < total) {
    tail += fmt::format(", {} left", format_duration(static_cast<double>(total - done) / rate));
  }
  const std::string head = fmt::format("{} {:3.0f}%", label, std::floor(100 * share));
  std::string bar;
  const int room = columns - static_cast<int>(head.size() + tail.size()) - 3;
  if (room >= 8) {
    const int width = std::min(room, 30);
    const int filled = static_cast<int>(share * width);
    bar = " [" + std::string(static_cast<size_t>(filled), '#') +
          std::string(static_cast<size_t>(width - filled), '.') + "]";
  }
  return (head + bar + tail).substr(0, static_cast<size_t>(std::max(columns, 0)));
}

Progress::Progress(std::string label, uint64_t total, ProgressUnit unit)
    : label_(std::move(label)),
      total_(total),
      unit_(unit),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      next_(start_ + std::chrono::milliseconds(300)) {}  // quick work shows no bar at all

Progress::~Progress() {
  finish();
}

void Progress::update(uint64_t done) {
  if (!terminal_) return;
  const Clock::time_point now = Clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  const double elapsed_s = std::chrono::duration<double>(now - start_).count();
  const std::string line =
      format_progress(label_, done, total_, unit_, elapsed_s, terminal_columns() - 1);
  fmt::print(stderr, "\r{}\033[K", line);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::finish() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace hadal::cli
