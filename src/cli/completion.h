// Shell completion, written from the tree of commands.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace hadal::cli {

// shell: "bash", "zsh" or "fish".
std::string completion_script(CLI::App& app, const std::string& shell);

}  // namespace hadal::cli
