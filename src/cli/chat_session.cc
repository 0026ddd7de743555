#include "cli/chat_session.h"

#include <cstdio>
#include <utility>

#include <unistd.h>

#include "base/error.h"
#include "cli/chat_file.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/paths.h"
#include "cli/slash_command.h"
#include "cli/suggest.h"
#include "cli/terminal_text.h"

namespace hadal::cli {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";

class ChatSession {
 public:
  ChatSession(Speaker& speaker, const RunOptions& options, const Globals& globals)
      : speaker_(speaker),
        options_(options),
        style_{true, use_color(globals, STDOUT_FILENO), options.hide_thinking},
        editor_(state_home().empty() ? "" : state_home() + "/history") {}

  void run();

 private:
  enum class Input { text, none, end };

  Input read(std::string& text);
  bool read_quoted(std::string& text);
  void answer(const std::string& text);
  bool obey(const SlashCommand& command);
  void need_dialogue() const;
  void think(const std::string& argument);
  void set_system(const std::string& text);
  void save(const std::string& path, bool overwrite);
  void load(const std::string& path);
  void show_stats() const;

  // A quiet line about the chat, not of it.
  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) const {
    const std::string text = terminal_text(fmt::format(format, std::forward<Args>(args)...));
    std::fflush(stdout);
    fmt::print(stderr, "{}{}{}\n", style_.color ? "\033[2m" : "", text,
               style_.color ? "\033[0m" : "");
    std::fflush(stderr);
  }

  Speaker& speaker_;
  const RunOptions& options_;
  AnswerStyle style_;
  LineEditor editor_;
  bool asked_to_leave_ = false;  // the last thing was Ctrl+C
  std::optional<Answer> last_;
};

void ChatSession::run() {
  const model::ModelConfig& config = speaker_.model().model->config;
  say("{}: {} parameters, context of {} tokens{}", speaker_.model().name,
      format_count(static_cast<double>(model::count_parameters(config).total)),
      speaker_.engine().context_tokens(),
      speaker_.has_dialogue() ? "" : "; a base model, which continues your text");
  say("/help shows what you can do, Ctrl+D leaves");
  std::string text;
  while (true) {
    const Input input = read(text);
    if (input == Input::end) return;
    if (input == Input::none) continue;
    try {
      if (const auto command = parse_slash(text)) {
        if (!obey(*command)) return;
      } else {
        answer(text);
      }
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::interrupted) throw;
      say("{}", error.what());
    }
  }
}

ChatSession::Input ChatSession::read(std::string& text) {
  switch (editor_.read(">>> ", text)) {
    case LineResult::end:
      return Input::end;
    case LineResult::interrupt:
      if (asked_to_leave_) fail(ErrorKind::interrupted, "interrupted");
      asked_to_leave_ = true;
      say("Ctrl+C again, Ctrl+D or /bye leaves");
      return Input::none;
    case LineResult::line:
      break;
  }
  asked_to_leave_ = false;
  if (text.find_first_not_of(" \t\n") == std::string::npos) return Input::none;
  if (text.starts_with(kQuotes) && !read_quoted(text)) return Input::none;
  editor_.remember(text);
  return Input::text;
}

// Reads on until the closing quotes; false if the user gave up.
bool ChatSession::read_quoted(std::string& text) {
  text.erase(0, kQuotes.size());
  while (!text.ends_with(kQuotes)) {
    std::string line;
    if (editor_.read("... ", line) != LineResult::line) return false;
    text += "\n" + line;
  }
  text.erase(text.size() - kQuotes.size());
  if (text.starts_with('\n')) text.erase(0, 1);
  if (text.ends_with('\n')) text.pop_back();
  return text.find_first_not_of(" \t\n") != std::string::npos;
}

void ChatSession::answer(const std::string& text) {
  AnswerPrinter printer(style_, [](std::string_view piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  });
  last_ = speaker_.ask(text, &printer);
  if (interrupted()) {
    clear_interrupt();
    asked_to_leave_ = true;  // one more Ctrl+C at the prompt leaves
  }
  const std::string note = cut_note(*last_, speaker_);
  if (last_->reason == infer::FinishReason::cancelled) {
    say("[stopped; Ctrl+C again leaves]");
  } else if (!note.empty()) {
    say("[{}{}]", note, note.starts_with("cut: the context") ? "; /reset begins anew" : "");
  }
  if (options_.stats.value_or(isatty(STDERR_FILENO) == 1)) {
    say("{}", stats_line(last_->stats, peak_memory_bytes()));
  }
  fmt::print("\n");
}

// False: leave.
bool ChatSession::obey(const SlashCommand& command) {
  switch (command.kind) {
    case SlashKind::help:
      fmt::print("{}", slash_help());
      break;
    case SlashKind::think:
      think(command.argument);
      break;
    case SlashKind::system:
      set_system(command.argument);
      break;
    case SlashKind::reset:
      if (speaker_.has_dialogue()) {
        std::erase_if(speaker_.chat().dialogue().messages, [](const tokenizer::Message& message) {
          return message.role != tokenizer::Role::system;
        });
      }
      say("forgotten: a new dialogue begins");
      break;
    case SlashKind::save:
    case SlashKind::save_over:
      save(command.argument, command.kind == SlashKind::save_over);
      break;
    case SlashKind::load:
      load(command.argument);
      break;
    case SlashKind::stats:
      show_stats();
      break;
    case SlashKind::bye:
      return false;
    case SlashKind::unknown:
      say("/{} is no command{}; /help lists them (a space in front makes it text)", command.name,
          did_you_mean(command.name, slash_names()));
      break;
  }
  return true;
}

void ChatSession::need_dialogue() const {
  if (!speaker_.has_dialogue()) {
    fail(ErrorKind::usage, "{} is a base model: it has no dialogues", speaker_.model().name);
  }
}

void ChatSession::think(const std::string& argument) {
  if (argument == "show" || argument == "hide") {
    style_.hide_thoughts = argument == "hide";
    say("thoughts are {}", style_.hide_thoughts ? "hidden" : "shown");
    return;
  }
  if (argument != "on" && argument != "off") {
    say("/think on, off, show or hide");
    return;
  }
  need_dialogue();
  tokenizer::resolve_thinking(speaker_.chat().generation(), argument == "on");
  speaker_.chat().options().encode.thinking = argument == "on";
  say("thinking is {}", argument);
}

void ChatSession::set_system(const std::string& text) {
  need_dialogue();
  speaker_.chat().set_system(text);
  say("{}", text.empty() ? "the system text is removed" : "the system text is set");
}

void ChatSession::save(const std::string& path, bool overwrite) {
  need_dialogue();
  if (path.empty()) fail(ErrorKind::usage, "/save needs a file: /save chat.json");
  if (speaker_.chat().dialogue().messages.empty()) {
    fail(ErrorKind::usage, "there is nothing to save yet");
  }
  try {
    save_chat(path, speaker_.chat().dialogue(), speaker_.model().name, overwrite);
  } catch (const Error& error) {
    const bool exists = !overwrite && access(path.c_str(), F_OK) == 0;
    if (!exists) throw;
    say("{}; /save! {} overwrites it", error.what(), path);
    return;
  }
  say("saved to {}", path);
}

void ChatSession::load(const std::string& path) {
  need_dialogue();
  if (path.empty()) fail(ErrorKind::usage, "/load needs a file: /load chat.json");
  speaker_.chat().dialogue() = load_chat(path);
  say("{} messages from {}", speaker_.chat().dialogue().messages.size(), path);
}

void ChatSession::show_stats() const {
  const infer::EngineLoad load = speaker_.engine().load();
  if (last_) say("last answer: {}", stats_line(last_->stats, peak_memory_bytes()));
  if (last_) {
    say("context: {} of {} tokens used", last_->stats.prompt_tokens + last_->stats.generated_tokens,
        speaker_.engine().context_tokens());
  }
  say("cache: {} of {} pages of {} tokens hold what was computed, {} in all",
      load.pages - load.pages_free, load.pages, load.page_tokens,
      format_bytes(static_cast<double>(load.pages * load.page_bytes)));
  say("threads: {}; model opened in {:.0f} ms; peak memory {}", speaker_.threads(),
      speaker_.load_ms(), format_bytes(static_cast<double>(peak_memory_bytes())));
}

}  // namespace

void chat_at_terminal(Speaker& speaker, const RunOptions& options, const Globals& globals) {
  ChatSession(speaker, options, globals).run();
}

}  // namespace hadal::cli
