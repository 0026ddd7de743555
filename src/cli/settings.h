// Flags that were not given on the command line take their value from the environment, then from
// the config files. Any option with a long name is a setting: --top-p of `run` is HADAL_RUN_TOP_P
// and `top-p` in the table [run]. --threads, --color and --json are shared by commands:
// HADAL_THREADS and a `threads` at the top of the file hold for all of them, unless the command has
// its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/globals.h"

namespace hadal::cli {

struct Setting {
  std::vector<std::string> values;
  std::string origin;  // "HADAL_RUN_TOP_P" or "file:line"
};

// A setting's name: the first long name of the option; "" for those that can't be set (help,
// positional arguments).
std::string setting_name(const CLI::Option& option);
bool is_shared_setting(const std::string& name);
std::string environment_name(const std::string& section, const std::string& key);

// What environment and files say about a flag; `command` is "" for the flags of hadal itself.
std::optional<Setting> find_setting(const Config& config, const std::string& command,
                                    const std::string& key);

// Throws Error(usage) for a key of the files that no flag has, with the nearest name.
void check_config(CLI::App& app, const Config& config);

// Fills in the flags of hadal and of the chosen command. Throws Error(usage) naming the origin of a
// value that the flag doesn't take.
void apply_settings(CLI::App& app, const Globals& globals);

}  // namespace hadal::cli
