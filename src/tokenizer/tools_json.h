// JSON helpers shared by tools.cc and dialogue_json.cc; apart from tools.h because the JSON library
// is slow to compile.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tokenizer/tools.h"

namespace hadal::tokenizer {

using Json = nlohmann::ordered_json;  // keeps the order of keys, which prompts show

// Throws Error(usage) naming `what` if the text is not JSON or is nested deeper than 64.
Json parse_json(std::string_view json, std::string_view what);
std::string python_dump(const Json& value, int indent = 0);
std::vector<Tool> tools_from(const Json& value);

}  // namespace hadal::tokenizer
