#include "tokenizer/unicode_class.h"

#include <algorithm>

#include <utf8proc.h>

namespace hadal::tokenizer {
namespace {

struct Range {
  char32_t first, last;
  uint8_t traits;
};

// Characters that Unicode 15.1 and 16.0 added. The published tokenizers run on Oniguruma with
// Unicode 16 tables (tokenizers 0.23), Debian 12's utf8proc knows 15.0; nothing else differs.
constexpr Range kNewer[] = {
    {0x0897, 0x0897, kMark},          {0x1B4E, 0x1B4F, kPunctuation},
    {0x1B7F, 0x1B7F, kPunctuation},   {0x1C89, 0x1C8A, kLetter},
    {0x2427, 0x2429, kSymbol},        {0x2FFC, 0x2FFF, kSymbol},
    {0x31E4, 0x31E5, kSymbol},        {0x31EF, 0x31EF, kSymbol},
    {0xA7CB, 0xA7CD, kLetter},        {0xA7DA, 0xA7DC, kLetter},
    {0x105C0, 0x105F3, kLetter},      {0x10D40, 0x10D49, kNumber},
    {0x10D4A, 0x10D65, kLetter},      {0x10D69, 0x10D6D, kMark},
    {0x10D6E, 0x10D6E, kPunctuation}, {0x10D6F, 0x10D85, kLetter},
    {0x10D8E, 0x10D8F, kSymbol},      {0x10EC2, 0x10EC4, kLetter},
    {0x10EFC, 0x10EFC, kMark},        {0x11380, 0x11389, kLetter},
    {0x1138B, 0x1138B, kLetter},      {0x1138E, 0x1138E, kLetter},
    {0x11390, 0x113B5, kLetter},      {0x113B7, 0x113B7, kLetter},
    {0x113B8, 0x113C0, kMark},        {0x113C2, 0x113C2, kMark},
    {0x113C5, 0x113C5, kMark},        {0x113C7, 0x113CA, kMark},
    {0x113CC, 0x113D0, kMark},        {0x113D1, 0x113D1, kLetter},
    {0x113D2, 0x113D2, kMark},        {0x113D3, 0x113D3, kLetter},
    {0x113D4, 0x113D5, kPunctuation}, {0x113D7, 0x113D8, kPunctuation},
    {0x113E1, 0x113E2, kMark},        {0x116D0, 0x116E3, kNumber},
    {0x11BC0, 0x11BE0, kLetter},      {0x11BE1, 0x11BE1, kPunctuation},
    {0x11BF0, 0x11BF9, kNumber},      {0x11F5A, 0x11F5A, kMark},
    {0x13460, 0x143FA, kLetter},      {0x16100, 0x1611D, kLetter},
    {0x1611E, 0x1612F, kMark},        {0x16130, 0x16139, kNumber},
    {0x16D40, 0x16D6C, kLetter},      {0x16D6D, 0x16D6F, kPunctuation},
    {0x16D70, 0x16D79, kNumber},      {0x18CFF, 0x18CFF, kLetter},
    {0x1CC00, 0x1CCEF, kSymbol},      {0x1CCF0, 0x1CCF9, kNumber},
    {0x1CD00, 0x1CEB3, kSymbol},      {0x1E5D0, 0x1E5ED, kLetter},
    {0x1E5EE, 0x1E5EF, kMark},        {0x1E5F0, 0x1E5F0, kLetter},
    {0x1E5F1, 0x1E5FA, kNumber},      {0x1E5FF, 0x1E5FF, kPunctuation},
    {0x1F8B2, 0x1F8BB, kSymbol},      {0x1F8C0, 0x1F8C1, kSymbol},
    {0x1FA89, 0x1FA89, kSymbol},      {0x1FA8F, 0x1FA8F, kSymbol},
    {0x1FABE, 0x1FABE, kSymbol},      {0x1FAC6, 0x1FAC6, kSymbol},
    {0x1FADC, 0x1FADC, kSymbol},      {0x1FADF, 0x1FADF, kSymbol},
    {0x1FAE9, 0x1FAE9, kSymbol},      {0x1FBCB, 0x1FBEF, kSymbol},
    {0x2EBF0, 0x2EE5D, kLetter},
};

uint8_t category_traits(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return kSymbol;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return kSpace;
    default:
      return 0;
  }
}

// The planes with characters in them. Planes 4 to 13 are unassigned; 15 and 16 are private.
bool page_has_characters(size_t page) {
  const size_t plane = page >> 8;
  return plane <= 3 || plane == 14;
}

}  // namespace

TraitTable::TraitTable() {
  std::array<bool, kPages> wanted{};
  size_t count = 1;
  for (size_t page = 0; page < kPages; ++page) {
    wanted[page] = page_has_characters(page);
    count += wanted[page] ? 1 : 0;
  }
  // Page 0 of the store is the empty one, for all planes left out.
  pages_ = std::make_unique<std::array<uint8_t, 256>[]>(count);
  uint16_t next = 1;
  for (size_t page = 0; page < kPages; ++page) {
    if (!wanted[page]) {
      continue;
    }
    index_[page] = next++;
    for (size_t i = 0; i < 256; ++i) {
      pages_[index_[page]][i] = category_traits(static_cast<char32_t>(page << 8 | i));
    }
  }
  for (const Range& range : kNewer) {
    for (char32_t code = range.first; code <= range.last; ++code) {
      pages_[index_[code >> 8]][code & 0xFF] = range.traits;
    }
  }
  // White_Space also holds these control characters.
  auto& first = pages_[index_[0]];
  for (char32_t code : {U'\t', U'\v', U'\f', U'\x85'}) {
    first[code] = kSpace;
  }
  first['\r'] = first['\n'] = kSpace | kNewline;
}

const TraitTable& TraitTable::get() {
  static const TraitTable table;
  return table;
}

}  // namespace hadal::tokenizer
