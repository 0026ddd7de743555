#include "cli/command.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include <unistd.h>

namespace hadal::cli {

CLI::App* add_command(CLI::App& app, Globals& globals, const std::string& name,
                      const std::string& summary, const std::string& help_end,
                      std::function<void()> run) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->footer(help_end);
  command->fallthrough();  // --color may follow the command's name
  command->callback([&globals, name, run = std::move(run)] {
    globals.selected = name;
    globals.run = run;
  });
  return command;
}

CLI::App* find_command(CLI::App& app, const std::string& name) {
  for (CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

void add_json(CLI::App* command, Globals& globals) {
  command->add_flag("--json", globals.json, "Print one JSON value, for scripts");
}

void add_threads(CLI::App* command, Globals& globals) {
  command->add_option("-t,--threads", globals.threads, "Threads to compute with (0: one per core)")
      ->check(CLI::Range(0, 1024).description(""))
      ->type_name("N");
}

bool use_color(const Globals& globals, int descriptor) {
  if (globals.color != "auto") return globals.color == "always";
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* terminal = std::getenv("TERM");
  if (terminal == nullptr || std::strcmp(terminal, "dumb") == 0) return false;
  return isatty(descriptor) == 1;
}

}  // namespace hadal::cli
