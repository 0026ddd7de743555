// Unicode normalisation form C, which the Qwen tokenizers apply before anything else.
#pragma once

#include <string>
#include <string_view>

namespace hadal::tokenizer {

// Whether no character is there that NFC could change (all below U+0300): true for most text.
bool is_trivially_nfc(std::string_view text);

// `text` in NFC; bytes that are not UTF-8 stay as they are. Linear but for sorting runs of marks.
std::string to_nfc(std::string_view text);

}  // namespace hadal::tokenizer
