// Text on its way out.
#pragma once

#include <string>
#include <string_view>

namespace hadal::server {

// A JSON literal with its quotes. What is not UTF-8 becomes U+FFFD.
std::string json_text(std::string_view text);
// The text with U+FFFD for what is not UTF-8.
std::string valid_utf8(std::string_view text);

// "data: ...\n\n"
std::string sse_data(std::string_view json);
// "event: NAME\ndata: ...\n\n"
std::string sse_event(std::string_view name, std::string_view json);

std::string lower_hex(std::string_view bytes);
// Random bytes as hexadecimal digits, from the system's generator.
std::string random_hex(size_t bytes);
// SHA-256 as 64 hexadecimal digits.
std::string sha256_hex(std::string_view bytes);
// In a time that depends on the lengths alone.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace hadal::server
