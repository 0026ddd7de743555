#include "cli/token_text.h"

#include <fmt/format.h>

#include "tokenizer/unicode_class.h"

namespace hadal::cli {

std::string quoted_token(std::string_view bytes) {
  std::string out = "\"";
  const char* end = bytes.data() + bytes.size();
  for (const char* p = bytes.data(); p < end;) {
    const tokenizer::Glyph glyph = tokenizer::read_glyph(p, end);
    const auto byte = static_cast<unsigned char>(*p);
    if (glyph.code == '\n') {
      out += "\\n";
    } else if (glyph.code == '\r') {
      out += "\\r";
    } else if (glyph.code == '\t') {
      out += "\\t";
    } else if (glyph.code == '"' || glyph.code == '\\') {
      out += {'\\', *p};
    } else if (glyph.code < 0x20 || glyph.code == 0x7F ||
               glyph.code == tokenizer::Glyph::kInvalid) {
      out += fmt::format("\\x{:02X}", byte);
    } else if (glyph.code >= 0x80 && glyph.code < 0xA0) {
      out += fmt::format("\\u{:04X}", static_cast<uint32_t>(glyph.code));
    } else {
      out.append(p, glyph.length);
    }
    p += glyph.length;
  }
  return out + "\"";
}

}  // namespace hadal::cli
