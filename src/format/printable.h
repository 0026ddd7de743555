// Text from files on its way to a terminal.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace hadal::format {

// No control characters: names with them are refused, since every message shows names.
inline bool is_printable(std::string_view text) {
  return std::ranges::none_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

// The text with control characters replaced by '?', cut after bytes_max bytes.
inline std::string printable(std::string_view text, size_t bytes_max = 200) {
  std::string result(text.substr(0, bytes_max));
  for (char& c : result)
    if (!is_printable({&c, 1})) c = '?';
  return text.size() > bytes_max ? result + "..." : result;
}

}  // namespace hadal::format
