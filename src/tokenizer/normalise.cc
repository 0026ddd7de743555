#include "tokenizer/normalise.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <utf8proc.h>

#include "tokenizer/code_ranges.h"
#include "tokenizer/unicode_class.h"

namespace hadal::tokenizer {
namespace {

// Marks that came to Unicode after version 9, which is what the published tokenizers' normaliser
// knows: to it they are characters that neither move nor combine.
constexpr auto kNewerMarks = std::to_array<CodeRange>({
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
    {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x10D24, 0x10D27},
    {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85},
    {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A},
    {0x11930, 0x11930}, {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0},
    {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
    {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1},
    {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF},
    {0x1E4EC, 0x1E4EF},
});

// Lead bytes from 0xCC on begin characters from U+0300 on.
constexpr unsigned char kFirstAffectedLead = 0xCC;

utf8proc_propval_t combining_class(int32_t code) {
  return utf8proc_get_property(code)->combining_class;
}

// utf8proc sorts marks by exchanging neighbours, which takes quadratic time on a long run of them;
// so marks are sorted here, and utf8proc decomposes and composes.
void append_nfc(std::vector<int32_t>& codes, std::string& out) {
  if (codes.empty()) {
    return;
  }
  if (codes.size() == 1 && codes[0] < 0x80) {
    out += static_cast<char>(codes[0]);
    codes.clear();
    return;
  }
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
    if (glyph.code == Glyph::kInvalid || contains(kNewerMarks, glyph.code)) {
      append_nfc(run, out);
      out.append(p, glyph.length);
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
