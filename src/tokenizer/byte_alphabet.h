// GPT-2's byte alphabet: every byte has a printable character, in which vocabularies are written.
// The bytes 33-126, 161-172 and 174-255 are their own code points; the other 68, in order, are
// U+0100, U+0101, ... (a space is "Ġ").
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace hadal::tokenizer {

// Appends the bytes that `text` writes. False, with nothing appended, if a character of `text` is
// not in the alphabet.
bool append_alphabet_bytes(std::string_view text, std::string& out);

// The character of a byte, UTF-8.
std::string alphabet_spelling(std::string_view bytes);

}  // namespace hadal::tokenizer
