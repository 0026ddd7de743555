// The table as text and as markdown, from what was measured now or in earlier runs.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace hadal::bench {

// results: {"machine": as `hadal bench --json`, "kernels", "rows": {ID: {"commit", "date",
// "hadal": {"samples", "ceiling", "limit"}, "peers": {NAME: {"samples"}}}}}. Rows that were not
// measured are left out.
std::string text_table(const nlohmann::json& results);
std::string markdown_table(const nlohmann::json& results);

}  // namespace hadal::bench
