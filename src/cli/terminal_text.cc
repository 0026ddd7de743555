#include "cli/terminal_text.h"

#include <cstdint>

#include "tokenizer/stream_markup.h"

namespace hadal::cli {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// C1 controls (U+0080 to U+009F) act like ESC sequences on some terminals; U+202A to U+202E and
// U+2066 to U+2069 reorder what stands around them. Length of such a character at `text`, or 0.
size_t hostile_length(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0};
  };
  if (byte(0) == 0xC2 && byte(1) >= 0x80 && byte(1) <= 0x9F) return 2;
  if (byte(0) != 0xE2) return 0;
  if (byte(1) == 0x80 && byte(2) >= 0xAA && byte(2) <= 0xAE) return 3;
  if (byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9) return 3;
  return 0;
}

}  // namespace

std::string terminal_text(std::string_view text) {
  std::string valid;
  tokenizer::Utf8Buffer buffer;
  buffer.push(text, valid);
  buffer.flush(valid);

  std::string out;
  out.reserve(valid.size());
  for (size_t i = 0; i < valid.size(); ++i) {
    const auto byte = static_cast<uint8_t>(valid[i]);
    if (byte == '\r') continue;
    const bool shown = byte >= 0x20 || byte == '\n' || byte == '\t';
    if (!shown || byte == 0x7F) {  // the Unicode pictures of control characters
      out += "\xE2\x90";
      out += static_cast<char>(byte == 0x7F ? 0xA1 : 0x80 + byte);
    } else if (const size_t length = hostile_length(std::string_view(valid).substr(i))) {
      out += kReplacement;
      i += length - 1;
    } else {
      out += valid[i];
    }
  }
  return out;
}

}  // namespace hadal::cli
