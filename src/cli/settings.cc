#include "cli/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/error.h"
#include "cli/command.h"
#include "cli/suggest.h"

namespace hadal::cli {
namespace {

std::vector<std::string> setting_names(CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = setting_name(*option);
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

void apply_to(CLI::App& app, const std::string& command, const Config& config) {
  for (CLI::Option* option : app.get_options()) {
    const std::string name = setting_name(*option);
    if (name.empty() || option->count() > 0) continue;
    const std::optional<Setting> setting = find_setting(config, command, name);
    if (!setting) continue;
    try {
      for (const std::string& value : setting->values) {
        // A flag takes the words that CLI11 knows for true and false, not any text.
        if (option->get_expected_max() == 0) CLI::detail::to_flag_value(value);
        option->add_result(value);
      }
      option->run_callback();
    } catch (const std::exception& error) {
      fail(ErrorKind::usage, "{}: '{}' is no value for --{}: {}", setting->origin,
           fmt::join(setting->values, ", "), name, error.what());
    }
  }
}

}  // namespace

std::string setting_name(const CLI::Option& option) {
  const std::vector<std::string>& names = option.get_lnames();
  if (names.empty() || names[0] == "help" || names[0] == "version") return "";
  return names[0];
}

bool is_shared_setting(const std::string& name) {
  return name == "threads" || name == "color" || name == "json";
}

std::string environment_name(const std::string& section, const std::string& key) {
  std::string name = "HADAL_" + section + (section.empty() ? "" : "_") + key;
  for (char& c : name) {
    c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::optional<Setting> find_setting(const Config& config, const std::string& command,
                                    const std::string& key) {
  const bool shared = command.empty() || is_shared_setting(key);
  for (const std::string& section : {command, std::string()}) {
    if (section.empty() && !shared) continue;
    const std::string name = environment_name(section, key);
    const char* value = std::getenv(name.c_str());
    if (value != nullptr && *value != '\0') return Setting{{value}, name};
  }
  const ConfigEntry* entry = config.find(command, key);
  if (entry == nullptr && shared) entry = config.find("", key);
  if (entry == nullptr) return std::nullopt;
  return Setting{entry->values, entry->origin};
}

void check_config(CLI::App& app, const Config& config) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  for (const ConfigEntry& entry : config.entries) {
    std::vector<std::string> keys;
    if (entry.section.empty()) {
      keys = {"color", "threads", "json"};
    } else {
      CLI::App* command = find_command(app, entry.section);
      if (command == nullptr) {
        fail(ErrorKind::usage, "{}: no command is called '{}'{}", entry.origin, entry.section,
             did_you_mean(entry.section, commands));
      }
      keys = setting_names(*command);
    }
    if (std::find(keys.begin(), keys.end(), entry.key) == keys.end()) {
      fail(ErrorKind::usage, "{}: unknown key '{}'{}", entry.origin, entry.key,
           did_you_mean(entry.key, keys));
    }
  }
}

void apply_settings(CLI::App& app, const Globals& globals) {
  apply_to(app, "", globals.config);
  CLI::App* command = find_command(app, globals.selected);
  if (command != nullptr) apply_to(*command, globals.selected, globals.config);
}

}  // namespace hadal::cli
