#include "cli/config_file.h"

#include <fstream>
#include <iterator>
#include <sstream>

#include <errno.h>
#include <string.h>
#include <toml++/toml.h>

#include "base/error.h"
#include "cli/paths.h"

namespace hadal::cli {
namespace {

std::string scalar_text(const toml::node& node, const std::string& origin) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  fail(ErrorKind::usage, "{}: expected text, a number, true or false, or a list of them", origin);
}

void add_entries(const toml::table& table, const std::string& section, const std::string& path,
                 std::vector<ConfigEntry>& out) {
  for (const auto& [key, node] : table) {
    const std::string origin = fmt::format("{}:{}", path, node.source().begin.line);
    if (const toml::table* inner = node.as_table()) {
      if (!section.empty()) fail(ErrorKind::usage, "{}: tables nest only one deep", origin);
      add_entries(*inner, std::string(key.str()), path, out);
      continue;
    }
    ConfigEntry entry{section, std::string(key.str()), {}, origin};
    if (const toml::array* list = node.as_array()) {
      for (const toml::node& item : *list) entry.values.push_back(scalar_text(item, origin));
    } else {
      entry.values.push_back(scalar_text(node, origin));
    }
    out.push_back(std::move(entry));
  }
}

void add_file(const std::string& path, std::vector<ConfigEntry>& out) {
  if (path.empty()) return;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    fail(ErrorKind::file, "{}: cannot read: {}", path, strerror(errno));
  }
  std::ostringstream text;
  text << file.rdbuf();
  const std::vector<ConfigEntry> entries = parse_config(text.str(), path);
  out.insert(out.end(), entries.begin(), entries.end());
}

}  // namespace

const ConfigEntry* Config::find(std::string_view section, std::string_view key) const {
  for (const ConfigEntry& entry : entries) {
    if (entry.section == section && entry.key == key) return &entry;
  }
  return nullptr;
}

std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& path) {
  std::vector<ConfigEntry> entries;
  try {
    add_entries(toml::parse(text, path), "", path, entries);
  } catch (const toml::parse_error& error) {
    fail(ErrorKind::usage, "{}:{}: {}", path, error.source().begin.line, error.description());
  }
  return entries;
}

Config load_config() {
  Config config;
  add_file(user_config_path(), config.entries);
  add_file(system_config_path(), config.entries);
  return config;
}

std::string user_config_path() {
  const std::string home = config_home();
  return home.empty() ? "" : home + "/config.toml";
}

std::string system_config_path() {
  return "/etc/hadal/config.toml";
}

}  // namespace hadal::cli
