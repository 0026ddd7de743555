// A model's words are untrusted: a model file, or a page in its prompt, can make it print escape
// sequences that move the cursor, rename the window or type into the shell. Nothing but letters
// reaches a terminal.
#pragma once

#include <string>
#include <string_view>

namespace hadal::cli {

// Valid UTF-8 with every control character but line feed and tab made visible: ESC becomes U+241B,
// a carriage return is dropped, C1 controls and the marks that turn the direction of text become
// U+FFFD. Bytes that are not UTF-8 become U+FFFD too. Needs whole characters.
std::string terminal_text(std::string_view text);

}  // namespace hadal::cli
