// The config files: $XDG_CONFIG_HOME/hadal/config.toml over /etc/hadal/config.toml.
//
//   color = "auto"        # flags that commands share stand at the top
//   threads = 4
//   [run]                 # a command's flags stand in its table, spelt as on the command line
//   temperature = 0.7
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadal::cli {

struct ConfigEntry {
  std::string section;              // command, "" at the top
  std::string key;                  // a flag without its dashes
  std::vector<std::string> values;  // several for an array
  std::string origin;               // "/etc/hadal/config.toml:3"
};

// What the files say, the user's entries in front. A missing file is an empty one.
struct Config {
  std::vector<ConfigEntry> entries;
  const ConfigEntry* find(std::string_view section, std::string_view key) const;
};

// Throws Error(usage) naming file and line: not TOML, a value that is no number, text or switch.
std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& path);

// The two files; throws Error(file) for one that exists and cannot be read.
Config load_config();
std::string user_config_path();    // "" without HOME and XDG_CONFIG_HOME
std::string system_config_path();  // /etc/hadal/config.toml

}  // namespace hadal::cli
