// How a command is written. One file per command; it defines add_NAME (declared in commands.h):
//
//   void add_show(CLI::App& app, Globals& globals) {
//     auto options = std::make_shared<Options>();
//     CLI::App* command = add_command(app, globals, "show", "Say what a model is",
//                                     "Examples:\n  hadal show model.gguf\n",
//                                     [options, &globals] { show(*options, globals); });
//     command->add_option("MODEL", options->model, "Model file, folder or name")->required();
//     add_json(command, globals);
//   }
//
// Rules: results go to stdout (fmt::print), notes and progress to stderr; failures are thrown as
// hadal::Error and printed once by run_program. Every option with a long name can also be set in
// the environment (HADAL_SHOW_JSON=1) and in the config file ([show] json = true): settings.h.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "cli/globals.h"

namespace hadal::cli {

// Adds a subcommand. `help_end` follows its options in the help text: examples, what the output
// means. `run` is called after the whole command line has been understood.
CLI::App* add_command(CLI::App& app, Globals& globals, const std::string& name,
                      const std::string& summary, const std::string& help_end,
                      std::function<void()> run);

// The subcommand of that name, or nullptr.
CLI::App* find_command(CLI::App& app, const std::string& name);

// --json: one JSON value on stdout; errors as {"error": ...} on stderr.
void add_json(CLI::App* command, Globals& globals);

// -t, --threads N: 0 means one per core.
void add_threads(CLI::App* command, Globals& globals);

}  // namespace hadal::cli
