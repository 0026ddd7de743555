#include "tokenizer/normalise.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <utf8proc.h>

#include "tokenizer/unicode_class.h"

namespace hadal::tokenizer {
namespace {

// Lead bytes from 0xCC on begin characters from U+0300 on.
constexpr unsigned char kFirstAffectedLead = 0xCC;

utf8proc_propval_t combining_class(int32_t code) {
  return utf8proc_get_property(code)->combining_class;
}

// utf8proc sorts marks by exchanging neighbours, which takes quadratic time on a long run of them;
// so marks are sorted here, and utf8proc decomposes and composes.
void append_nfc(std::vector<int32_t>& codes, std::string& out) {
  std::vector<int32_t> decomposed;
  decomposed.reserve(codes.size());
  for (int32_t code : codes) {
    // No canonical decomposition has more than four code points.
    int32_t parts[8];
    int boundary = 0;
    const auto count = utf8proc_decompose_char(
        code, parts, 8, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE),
        &boundary);
    decomposed.insert(decomposed.end(), parts, parts + std::clamp<utf8proc_ssize_t>(count, 0, 8));
  }
  for (auto at = decomposed.begin(); at != decomposed.end();) {
    if (combining_class(*at) == 0) {
      ++at;
      continue;
    }
    const auto end =
        std::find_if(at, decomposed.end(), [](int32_t code) { return combining_class(code) == 0; });
    std::stable_sort(at, end,
                     [](int32_t a, int32_t b) { return combining_class(a) < combining_class(b); });
    at = end;
  }
  const auto length =
      utf8proc_normalize_utf32(decomposed.data(), static_cast<utf8proc_ssize_t>(decomposed.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  for (utf8proc_ssize_t i = 0; i < length; ++i) {
    utf8proc_uint8_t bytes[4];
    const auto count = utf8proc_encode_char(decomposed[static_cast<size_t>(i)], bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
  }
  codes.clear();
}

}  // namespace

bool is_trivially_nfc(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < kFirstAffectedLead; });
}

std::string to_nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::vector<int32_t> run;
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const Glyph glyph = read_glyph(p, end);
    if (glyph.code == Glyph::kInvalid) {
      append_nfc(run, out);
      out += *p;
    } else {
      // An ASCII character composes with what follows, never with what stands before.
      if (glyph.code < 0x80) {
        append_nfc(run, out);
      }
      run.push_back(static_cast<int32_t>(glyph.code));
    }
    p += glyph.length;
  }
  append_nfc(run, out);
  return out;
}

}  // namespace hadal::tokenizer
