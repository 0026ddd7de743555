// `hadal run` at the keyboard: a line from the user, an answer, and so on.
#pragma once

#include "cli/answer.h"
#include "cli/globals.h"
#include "cli/run_options.h"

namespace hadal::cli {

// Returns when the user leaves; throws Error(interrupted) after Ctrl+C twice.
void chat_at_terminal(Speaker& speaker, const RunOptions& options, const Globals& globals);

}  // namespace hadal::cli
