// JSON Schema's formats of strings as regular expressions.
#pragma once

#include <string>
#include <string_view>

namespace hadal::grammar {

std::string_view format_pattern(std::string_view name);  // "": unknown
std::string format_names();

}  // namespace hadal::grammar
