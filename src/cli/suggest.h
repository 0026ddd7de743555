// "Did you mean": the nearest name by edits.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadal::cli {

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
int edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, "" if none is near (about a third of the letters may differ).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// " (did you mean 'x'?)" or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace hadal::cli
