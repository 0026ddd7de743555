// The repository as the rules see it: text files with their lines, and C++ with comments and
// literals blanked out.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::tidy {

enum class Kind { kCpp, kCMake, kShell, kText };

struct Source {
  std::string path;  // from the root, with '/'
  Kind kind;
  std::vector<std::string> lines;
  std::vector<std::string> code;  // kCpp: lines without comments, strings and characters

  [[nodiscard]] bool is_header() const { return path.ends_with(".h"); }
};

// Every C++, CMake, shell and Markdown file of the project, sorted by path; build folders and test
// data are passed over. Throws std::filesystem::filesystem_error where the root cannot be read.
std::vector<Source> load_sources(const std::filesystem::path& root);

// Replaces comments, string and character literals by blanks; lines stay where they are, and the
// quotes of a literal stay. Includes keep their file name.
std::string blank_literals(std::string_view text);

std::vector<std::string> split_lines(std::string_view text);

}  // namespace hadal::tidy
