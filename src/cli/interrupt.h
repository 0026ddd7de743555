// Ctrl+C. The first sets a flag that long work looks at; a second one, while the first is still
// unanswered, leaves at once with exit code 130.
#pragma once

#include <termios.h>

namespace hadal::cli {

// Handles SIGINT; SIGPIPE keeps its default, so `hadal ... | head` ends quietly; a file over
// the allowed size is an error of its write.
void install_signal_handlers();

// From here on SIGTERM sets the flag, too.
void stop_on_sigterm();

bool interrupted();
void clear_interrupt();

// While a program keeps the terminal in a mode of its own: the mode to leave behind. nullptr: none.
void restore_terminal_on_exit(const termios* mode);

// Throws Error(interrupted) if the flag is set.
void check_interrupt();

}  // namespace hadal::cli
