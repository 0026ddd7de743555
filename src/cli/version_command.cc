#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "kernels/kernels.h"

namespace hadal::cli {
namespace {

void print_version(bool json) {
  const char* isa = kernels::active().name;
  if (json) {
    const nlohmann::ordered_json value = {
        {"version", HADAL_VERSION}, {"compiler", "g++ " __VERSION__}, {"kernels", isa}};
    fmt::print("{}\n", value.dump());
  } else {
    fmt::print("hadal {} (g++ {}, {} kernels)\n", HADAL_VERSION, __VERSION__, isa);
  }
}

}  // namespace

void add_version(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "version", "Say which Hadal this is",
                                  "Examples:\n  hadal version\n  hadal version --json",
                                  [&globals] { print_version(globals.json); });
  add_json(command, globals);
}

}  // namespace hadal::cli
