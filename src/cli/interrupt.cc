#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include "base/error.h"

namespace hadal::cli {
namespace {

volatile sig_atomic_t interrupts = 0;
termios terminal_mode = {};
volatile sig_atomic_t terminal_mode_set = 0;

void handle_interrupt(int) {
  if (interrupts > 0) {
    // Colours off and a fresh line: the shell's prompt should not be dimmed.
    constexpr char reset[] = "\033[0m\n";
    if (isatty(STDERR_FILENO) == 1) {
      [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, reset, sizeof reset - 1);
    }
    if (terminal_mode_set != 0) tcsetattr(STDIN_FILENO, TCSANOW, &terminal_mode);
    _exit(130);
  }
  interrupts = interrupts + 1;
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action = {};
  action.sa_handler = handle_interrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);  // no SA_RESTART: a blocked read returns
  action.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGXFSZ, &action, nullptr);  // a write beyond `ulimit -f` is an error like a full disk
}

void stop_on_sigterm() {
  struct sigaction action = {};
  action.sa_handler = handle_interrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return interrupts > 0;
}

void clear_interrupt() {
  interrupts = 0;
}

void restore_terminal_on_exit(const termios* mode) {
  terminal_mode_set = 0;
  if (mode == nullptr) return;
  terminal_mode = *mode;
  terminal_mode_set = 1;
}

void check_interrupt() {
  if (interrupted()) fail(ErrorKind::interrupted, "interrupted");
}

}  // namespace hadal::cli
