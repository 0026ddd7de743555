// Runs the real program: with pipes, or at a pseudo-terminal.
#pragma once

#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hadal::e2e {

struct Outcome {
  int code = -1;  // exit code, 128 + signal
  std::string out, err;
};

// The environment of the test, with folders of its own so that the user's files don't matter.
inline void enter_sandbox(const std::string& folder) {
  setenv("HOME", folder.c_str(), 1);
  for (const char* name : {"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "HADAL_MODELS",
                           "HADAL_COLOR", "LC_ALL", "LANG"}) {
    unsetenv(name);
  }
  setenv("NO_COLOR", "1", 1);
  setenv("HADAL_THREADS", "1", 1);  // a busy machine makes threads wait for each other
  setenv("TERM", "xterm", 1);
}

[[noreturn]] inline void become_program(const std::vector<std::string>& arguments) {
  std::vector<char*> argv = {const_cast<char*>(HADAL_BINARY)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  prctl(PR_SET_PDEATHSIG,
        SIGKILL);  // a test that crashes leaves nothing behind that holds its pipes
  execv(HADAL_BINARY, argv.data());
  _exit(127);
}

inline int wait_code(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// interrupt_after: SIGINT is sent when this many bytes have come on stdout (0: never).
inline Outcome run_program(const std::vector<std::string>& arguments, const std::string& input = "",
                           size_t interrupt_after = 0) {
  int in[2], out[2], err[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    return {};
  }
  const pid_t child = fork();
  if (child == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    become_program(arguments);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  signal(SIGPIPE, SIG_IGN);
  // Inputs of the tests fit a pipe's buffer, so this cannot block.
  [[maybe_unused]] const ssize_t written = write(in[1], input.data(), input.size());
  close(in[1]);
  Outcome outcome;
  bool out_open = true, err_open = true;
  while (out_open || err_open) {
    pollfd files[2] = {{out_open ? out[0] : -1, POLLIN, 0}, {err_open ? err[0] : -1, POLLIN, 0}};
    if (poll(files, 2, 120'000) <= 0) {
      kill(child, SIGKILL);
      break;
    }
    char buffer[4096];
    const auto drain = [&](const pollfd& file, int descriptor, std::string& text, bool& open) {
      if (file.revents == 0) return;
      const ssize_t count = read(descriptor, buffer, sizeof buffer);
      if (count <= 0) open = false;
      if (count > 0) text.append(buffer, static_cast<size_t>(count));
    };
    drain(files[0], out[0], outcome.out, out_open);
    drain(files[1], err[0], outcome.err, err_open);
    if (interrupt_after > 0 && outcome.out.size() >= interrupt_after) {
      kill(child, SIGINT);
      interrupt_after = 0;
    }
  }
  close(out[0]);
  close(err[0]);
  outcome.code = wait_code(child);
  return outcome;
}

// The program at a terminal of 100 columns.
class Terminal {
 public:
  explicit Terminal(const std::vector<std::string>& arguments) {
    winsize size = {};
    size.ws_row = 40;
    size.ws_col = 100;
    child_ = forkpty(&terminal_, nullptr, nullptr, &size);
    if (child_ == 0) become_program(arguments);
  }

  ~Terminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      wait_code(child_);
    }
    close(terminal_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& keys) {
    [[maybe_unused]] const ssize_t written = write(terminal_, keys.data(), keys.size());
  }

  // What Ctrl+Z and the shell's `fg` do.
  void stop_and_continue() {
    int status = 0;
    kill(child_, SIGSTOP);
    waitpid(child_, &status, WUNTRACED);
    kill(child_, SIGCONT);
  }

  // Reads until the text stands on the screen behind what was expected before.
  ::testing::AssertionResult expect(const std::string& text, int timeout_s = 20) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_s);
    while (true) {
      const size_t at = screen_.find(text, seen_);
      if (at != std::string::npos) {
        seen_ = at + text.size();
        return ::testing::AssertionSuccess();
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      if (left.count() <= 0 || !read_some(static_cast<int>(left.count()))) {
        return ::testing::AssertionFailure() << "no '" << text << "' in:\n"
                                             << screen_.substr(seen_);
      }
    }
  }

  // Reads until text stands behind what was expected before, the editor's paste mark not counted.
  ::testing::AssertionResult expect_output(int timeout_s = 20) {
    const std::string mark = "\033[?2004l";
    while (screen_.size() == seen_ || mark.starts_with(screen_.substr(seen_)))
      if (!read_some(timeout_s * 1000)) return ::testing::AssertionFailure() << "no output";
    return ::testing::AssertionSuccess();
  }

  // Reads to the end; the exit code.
  int leave() {
    while (read_some(60'000)) {
    }
    const int code = wait_code(child_);
    child_ = -1;
    return code;
  }

  const std::string& screen() const { return screen_; }

 private:
  bool read_some(int timeout_ms) {
    pollfd file = {terminal_, POLLIN, 0};
    if (poll(&file, 1, timeout_ms) <= 0) return false;
    char buffer[4096];
    const ssize_t count = read(terminal_, buffer, sizeof buffer);
    if (count <= 0) return false;
    screen_.append(buffer, static_cast<size_t>(count));
    return true;
  }

  pid_t child_ = -1;
  int terminal_ = -1;
  std::string screen_;
  size_t seen_ = 0;
};

}  // namespace hadal::e2e
