// Tokens as people read them.
#pragma once

#include <string>
#include <string_view>

namespace hadal::cli {

// In quotes, one line: line breaks and control characters as \n, \t, \x1B; bytes that are not
// UTF-8 as \xE4.
std::string quoted_token(std::string_view bytes);

}  // namespace hadal::cli
