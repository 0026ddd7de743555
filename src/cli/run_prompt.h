// Where the prompt of `hadal run` comes from: the command line, a pipe, or both.
#pragma once

#include <string>
#include <vector>

#include "cli/run_options.h"

namespace hadal::cli {

// `hadal run "What is 7 + 5?"` means the prompt, though MODEL comes first: a lone argument with
// white space in it that is no file moves to the prompt.
void separate_prompt(RunOptions& options);

// All of it, at most 64 MiB, without the line feeds at its end. Throws Error(limit | file),
// Error(interrupted) after Ctrl+C.
std::string read_piped_text(int descriptor);

// The words, a blank line, the piped text; either may be missing.
std::string join_prompt(const std::vector<std::string>& words, const std::string& piped);

}  // namespace hadal::cli
