#include <memory>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/settings.h"

namespace hadal::cli {
namespace {

struct Row {
  std::string command, key, value, origin;
};

void add_rows(const CLI::App& app, const std::string& command, const Globals& globals, bool all,
              std::vector<Row>& rows) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string key = setting_name(*option);
    if (key.empty()) continue;
    if (const auto setting = find_setting(globals.config, command, key)) {
      rows.push_back(
          {command, key, fmt::format("{}", fmt::join(setting->values, ", ")), setting->origin});
    } else if (all) {
      const bool is_flag = option->get_expected_max() == 0;
      rows.push_back({command, key, is_flag ? "false" : option->get_default_str(), "built-in"});
    }
  }
}

void show(CLI::App& app, const Globals& globals, bool all) {
  std::vector<Row> rows;
  add_rows(app, "", globals, true, rows);
  for (const CLI::App* command : app.get_subcommands({})) {
    add_rows(*command, command->get_name(), globals, all, rows);
  }
  if (globals.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Row& row : rows) {
      list.push_back({{"command", row.command},
                      {"key", row.key},
                      {"value", row.value},
                      {"origin", row.origin}});
    }
    fmt::print("{}\n", list.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return;
  }
  fmt::print("# files: {} (yours), {}\n", user_config_path(), system_config_path());
  if (!all) fmt::print("# hadal config show --all prints the built-in values too\n");
  std::string section;
  for (const Row& row : rows) {
    if (row.command != section) fmt::print("\n[{}]\n", row.command);
    section = row.command;
    fmt::print("{:<40} # {}\n", fmt::format("{} = {}", row.key, row.value), row.origin);
  }
}

}  // namespace

void add_config(CLI::App& app, Globals& globals) {
  auto all = std::make_shared<bool>(false);
  CLI::App* command = add_command(
      app, globals, "config", "Show the settings and where each comes from",
      "Order: flag, environment (HADAL_RUN_TOP_P=0.9 for run's --top-p; HADAL_THREADS for every\n"
      "command), ~/.config/hadal/config.toml, /etc/hadal/config.toml, built-in. A file:\n\n"
      "  threads = 4\n"
      "  [run]\n"
      "  temperature = 0.7\n\n"
      "Examples:\n  hadal config show\n  hadal config show --all --json",
      [&app, &globals, all] { show(app, globals, *all); });
  command->require_subcommand(0, 1);
  CLI::App* show_command = command->add_subcommand("show", "Print the settings");
  show_command->add_flag("--all", *all, "The built-in values too");
  add_json(show_command, globals);
}

}  // namespace hadal::cli
