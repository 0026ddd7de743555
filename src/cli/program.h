// The program: builds the command tree, reads the command line and the settings, runs one command
// and turns every outcome into an exit code: 0 ok, 1 failure, 2 usage, 130 interrupted.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/globals.h"

namespace hadal::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

// The whole tree of commands, bound to `globals`, which must outlive it.
void build_app(CLI::App& app, Globals& globals);

// `arguments` without the program's name. Never throws.
int run_program(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace hadal::cli
