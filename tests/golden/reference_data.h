// Where golden tests find their data: the folder in the tree, and the full sets that developers'
// machines have.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace hadal::testing {

// The folder that the environment variable names, else the one beside the source folder.
inline std::optional<std::filesystem::path> shared_folder(const char* variable,
                                                          const char* beside) {
  const char* named = std::getenv(variable);
  const std::filesystem::path path =
      named != nullptr ? std::filesystem::path(named)
                       : std::filesystem::path(HADAL_SOURCE_DIR) / ".." / "shared" / beside;
  return std::filesystem::is_directory(path) ? std::optional(path) : std::nullopt;
}

inline std::optional<std::filesystem::path> full_goldens() {
  return shared_folder("HADAL_GOLDENS", "goldens");
}

inline std::optional<std::filesystem::path> full_data() {
  return shared_folder("HADAL_DATA", "data");
}

inline std::filesystem::path bundled_goldens() {
  return std::filesystem::path(HADAL_SOURCE_DIR) / "tests" / "golden" / "data";
}

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace hadal::testing
