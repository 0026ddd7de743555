#include "cli/human.h"

#include <array>
#include <cmath>

#include <fmt/format.h>

namespace hadal::cli {
namespace {

std::string scaled(double value, double step, const std::array<const char*, 5>& units) {
  size_t unit = 0;
  while (unit + 1 < units.size() && std::fabs(value) >= step - 0.5) {
    value /= step;
    ++unit;
  }
  const char* separator = *units[unit] == '\0' ? "" : " ";
  if (unit == 0) return fmt::format("{:.0f}{}{}", value, separator, units[unit]);
  return fmt::format("{:.{}f}{}{}", value, value < 99.95 ? 1 : 0, separator, units[unit]);
}

}  // namespace

std::string format_bytes(double bytes) {
  return scaled(bytes, 1024.0, {"B", "KiB", "MiB", "GiB", "TiB"});
}

std::string format_count(double count) {
  return scaled(count, 1000.0, {"", "k", "M", "B", "T"});
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const int64_t whole = std::llround(std::fmin(seconds, 1e15));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace hadal::cli
