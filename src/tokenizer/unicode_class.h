// What the pre-tokenizers ask about a character, and how a character is read from bytes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

namespace hadal::tokenizer {

// General categories L, M, N, P, S; White_Space; CR and LF.
enum Trait : uint8_t {
  kLetter = 1,
  kMark = 2,
  kNumber = 4,
  kPunctuation = 8,
  kSymbol = 16,
  kSpace = 32,
  kNewline = 64,
};

// One byte of traits for every code point, in pages so that the unassigned planes share one.
class TraitTable {
 public:
  static const TraitTable& get();  // built at first use, about 2 ms
  uint8_t operator[](char32_t code) const { return pages_[index_[code >> 8]][code & 0xFF]; }
  const uint8_t* ascii() const { return pages_[index_[0]].data(); }

 private:
  static constexpr size_t kPages = 0x1100;
  TraitTable();
  std::array<uint16_t, kPages> index_{};
  std::unique_ptr<std::array<uint8_t, 256>[]> pages_;
};

// A code point, or a byte that is not part of valid UTF-8: a character of its own without traits.
struct Glyph {
  static constexpr char32_t kInvalid = 0xFFFFFFFF;
  char32_t code;
  uint32_t length;  // bytes
};

// Reads the character at p < end.
inline Glyph read_glyph(const char* p, const char* end) {
  const auto at = [p](int i) { return static_cast<unsigned char>(p[i]); };
  const auto follows = [&](int i) { return (at(i) & 0xC0) == 0x80; };
  const char32_t lead = at(0);
  const auto left = end - p;
  if (lead < 0x80) {
    return {lead, 1};
  }
  if (lead >= 0xC2 && lead <= 0xDF && left >= 2 && follows(1)) {
    return {(lead & 0x1F) << 6 | (at(1) & 0x3FU), 2};
  }
  if ((lead & 0xF0) == 0xE0 && left >= 3 && follows(1) && follows(2)) {
    const char32_t code = (lead & 0xF) << 12 | (at(1) & 0x3FU) << 6 | (at(2) & 0x3FU);
    if (code >= 0x800 && (code < 0xD800 || code > 0xDFFF)) {
      return {code, 3};
    }
  }
  if (lead >= 0xF0 && lead <= 0xF4 && left >= 4 && follows(1) && follows(2) && follows(3)) {
    const char32_t code =
        (lead & 0x7) << 18 | (at(1) & 0x3FU) << 12 | (at(2) & 0x3FU) << 6 | (at(3) & 0x3FU);
    if (code >= 0x10000 && code <= 0x10FFFF) {
      return {code, 4};
    }
  }
  return {Glyph::kInvalid, 1};
}

}  // namespace hadal::tokenizer
