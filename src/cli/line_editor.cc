#include "cli/line_editor.h"

#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <string_view>

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/interrupt.h"

namespace hadal::cli {
namespace {

constexpr wchar_t kPastedLineFeed = L'\u23CE';  // ⏎
constexpr char kPastedLineFeedBytes[] = "\u23CE";
constexpr char kPasteBegin[] = "\033[200~";
constexpr char kPasteEnd[] = "\033[201~";
constexpr int kHistoryLines = 1000;
constexpr int kEscapeWait_ms = 25;  // the bytes of one escape sequence come together

// A bare Debian has no locale set: characters would be bytes.
void use_utf8() {
  setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
}

void put(const char* sequence) {
  std::fputs(sequence, stdout);
  std::fflush(stdout);
}

// Between two lines the terminal neither echoes nor collects lines: what is typed while an answer
// comes does not mix with it, and waits for the next prompt, Ctrl+D too.
class QuietTerminal {
 public:
  QuietTerminal() {
    if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
    changed_ = true;
    restore_terminal_on_exit(&before_);
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
  }
  ~QuietTerminal() {
    if (!changed_) return;
    tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    restore_terminal_on_exit(nullptr);
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;

 private:
  termios before_ = {};
  bool changed_ = false;
};

// Set when the program goes on after Ctrl+Z: the shell has changed the terminal meanwhile.
volatile sig_atomic_t continued = 0;

void handle_continue(int) {
  continued = 1;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  while (true) {
    const size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

}  // namespace

struct LineEditor::Impl {
  QuietTerminal quiet;  // before libedit looks at the terminal
  EditLine* editor = nullptr;
  History* history = nullptr;
  HistEvent event = {};
  std::string history_path;
  std::string prompt;
  std::deque<unsigned char> bytes;  // read from the terminal, not yet given to libedit
  bool pasting = false;

  bool read_byte(int timeout_ms);
  bool take(const char* sequence);
  int next_character(wchar_t* out);

  static const char* prompt_of(EditLine* editor);
  static int read_character(EditLine* editor, wchar_t* out);
};

// Appends what the terminal has to `bytes`; false at the end, on a timeout, or after Ctrl+C.
bool LineEditor::Impl::read_byte(int timeout_ms) {
  while (!interrupted()) {
    if (continued != 0) {
      continued = 0;
      el_set(editor, EL_PREP_TERM, 0);
      el_set(editor, EL_PREP_TERM, 1);
      el_set(editor, EL_REFRESH);
    }
    pollfd wait = {STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&wait, 1, timeout_ms);
    if (ready == 0) return false;
    if (ready < 0 && errno == EINTR) continue;
    unsigned char buffer[256];
    const ssize_t count = ready < 0 ? -1 : ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.insert(bytes.end(), buffer, buffer + count);
    return true;
  }
  return false;
}

// Whether `bytes` begins with the sequence, which is then removed. Waits for its rest.
bool LineEditor::Impl::take(const char* sequence) {
  const size_t length = std::strlen(sequence);
  for (size_t i = 0; i < length; ++i) {
    if (i == bytes.size() && !read_byte(kEscapeWait_ms)) return false;
    if (bytes[i] != static_cast<unsigned char>(sequence[i])) return false;
  }
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
  return true;
}

// 1 and a character, or 0 at the end and after Ctrl+C.
int LineEditor::Impl::next_character(wchar_t* out) {
  mbstate_t state = {};
  while (true) {
    if (bytes.empty() && !read_byte(-1)) return 0;
    if (bytes.front() == 0x1B) {
      if (take(pasting ? kPasteEnd : kPasteBegin)) {
        pasting = !pasting;
        continue;
      }
      if (pasting) {  // what is pasted types no commands
        bytes.pop_front();
        continue;
      }
    }
    const char byte = static_cast<char>(bytes.front());
    bytes.pop_front();
    const size_t length = mbrtowc(out, &byte, 1, &state);
    if (length == static_cast<size_t>(-2)) continue;  // more bytes belong to it
    if (length == static_cast<size_t>(-1)) {          // no UTF-8: left out
      state = {};
      continue;
    }
    if (!pasting) return 1;
    if (*out == L'\r' || *out == L'\n') *out = kPastedLineFeed;
    if (*out == L'\t') *out = L' ';
    if (*out >= 0x20) return 1;
  }
}

const char* LineEditor::Impl::prompt_of(EditLine* editor) {
  Impl* impl = nullptr;
  el_get(editor, EL_CLIENTDATA, &impl);
  return impl->prompt.c_str();
}

int LineEditor::Impl::read_character(EditLine* editor, wchar_t* out) {
  Impl* impl = nullptr;
  el_get(editor, EL_CLIENTDATA, &impl);
  return impl->next_character(out);
}

LineEditor::LineEditor(const std::string& history_path) : impl_(std::make_unique<Impl>()) {
  use_utf8();
  struct sigaction action = {};
  action.sa_handler = handle_continue;
  sigaction(SIGCONT, &action, nullptr);
  impl_->history_path = history_path;
  impl_->editor = el_init("hadal", stdin, stdout, stderr);
  impl_->history = history_init();
  history(impl_->history, &impl_->event, H_SETSIZE, kHistoryLines);
  history(impl_->history, &impl_->event, H_SETUNIQUE, 1);
  if (!history_path.empty()) {
    history(impl_->history, &impl_->event, H_LOAD, history_path.c_str());
  }
  EditLine* editor = impl_->editor;
  el_set(editor, EL_CLIENTDATA, impl_.get());
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_PROMPT, &Impl::prompt_of);
  el_set(editor, EL_HIST, history, impl_->history);
  el_wset(editor, EL_GETCFN, &Impl::read_character);
  // libedit would leave behind a terminal that echoes and collects lines (QuietTerminal).
  el_set(editor, EL_SETTY, "-x", "-icanon", "-echo", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
}

LineEditor::~LineEditor() {
  el_end(impl_->editor);
  history_end(impl_->history);
}

LineResult LineEditor::read(const std::string& prompt, std::string& line) {
  impl_->prompt = prompt;
  line.clear();
  el_resize(impl_->editor);
  put("\033[?2004h");  // the terminal marks what is pasted
  int count = 0;
  const char* text = el_gets(impl_->editor, &count);
  put("\033[?2004l");
  if (interrupted()) {
    clear_interrupt();
    impl_->bytes.clear();
    impl_->pasting = false;
    el_reset(impl_->editor);
    put("\n");
    return LineResult::interrupt;
  }
  if (text == nullptr || count <= 0) {
    put("\n");
    return LineResult::end;
  }
  line.assign(text, static_cast<size_t>(count));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  line = replaced(line, kPastedLineFeedBytes, "\n");
  return LineResult::line;
}

void LineEditor::remember(const std::string& line) {
  if (line.find_first_not_of(" \t\n") == std::string::npos) return;
  // One line per entry, as it is edited.
  const std::string entry = replaced(line, "\n", kPastedLineFeedBytes);
  history(impl_->history, &impl_->event, H_ENTER, entry.c_str());
  if (impl_->history_path.empty()) return;
  // A history that cannot be kept is no reason to stop talking: failures are passed over.
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(impl_->history_path).parent_path(),
                                      ignored);
  const int file = ::open(impl_->history_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  ::close(file);
  history(impl_->history, &impl_->event, H_SAVE, impl_->history_path.c_str());
}

}  // namespace hadal::cli
