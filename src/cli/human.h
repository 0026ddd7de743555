// Sizes, counts and times as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace hadal::cli {

std::string format_bytes(double bytes);       // "831 B", "4.9 MiB", "12.4 GiB"
std::string format_count(double count);       // "731", "12.3 k", "1.5 M", "15.7 B"
std::string format_duration(double seconds);  // "0.4 s", "12 s", "3 min 05 s", "1 h 02 min"

}  // namespace hadal::cli
