#include "cli/paths.h"

#include <cstdlib>

namespace hadal::cli {
namespace {

std::string xdg_folder(const char* variable, const char* below_home) {
  // The rules say: a relative path in the variable is invalid and ignored.
  const char* folder = std::getenv(variable);
  if (folder != nullptr && folder[0] == '/') return std::string(folder) + "/hadal";
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') return "";
  return std::string(home) + "/" + below_home + "/hadal";
}

}  // namespace

std::string config_home() {
  return xdg_folder("XDG_CONFIG_HOME", ".config");
}
std::string state_home() {
  return xdg_folder("XDG_STATE_HOME", ".local/state");
}

std::string data_home() {
  return xdg_folder("XDG_DATA_HOME", ".local/share");
}

}  // namespace hadal::cli
