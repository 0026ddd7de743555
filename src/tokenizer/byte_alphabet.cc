#include "tokenizer/byte_alphabet.h"

#include "tokenizer/unicode_class.h"

namespace hadal::tokenizer {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

constexpr size_t kAlphabetEnd = 0x100 + 68;

struct Alphabet {
  std::array<int16_t, kAlphabetEnd> byte_of{};
  std::array<uint16_t, 256> code_of{};
};

constexpr Alphabet make_alphabet() {
  Alphabet a;
  a.byte_of.fill(-1);
  uint16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const auto index = static_cast<size_t>(byte);
    a.code_of[index] = stands_for_itself(byte) ? static_cast<uint16_t>(byte) : next++;
    a.byte_of[a.code_of[index]] = static_cast<int16_t>(byte);
  }
  return a;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

bool append_alphabet_bytes(std::string_view text, std::string& out) {
  const size_t before = out.size();
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const Glyph glyph = read_glyph(p, end);
    if (glyph.code >= kAlphabetEnd || kAlphabet.byte_of[glyph.code] < 0) {
      out.resize(before);
      return false;
    }
    out += static_cast<char>(kAlphabet.byte_of[glyph.code]);
    p += glyph.length;
  }
  return true;
}

std::string alphabet_spelling(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    const uint16_t code = kAlphabet.code_of[static_cast<unsigned char>(c)];
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else {
      out += static_cast<char>(0xC0 | code >> 6);
      out += static_cast<char>(0x80 | (code & 0x3F));
    }
  }
  return out;
}

}  // namespace hadal::tokenizer
