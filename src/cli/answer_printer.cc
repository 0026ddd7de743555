#include "cli/answer_printer.h"

#include <utility>

#include <fmt/format.h>

#include "cli/terminal_text.h"

namespace hadal::cli {
namespace {

constexpr std::string_view kDim = "\033[2m";
constexpr std::string_view kPlain = "\033[0m";

}  // namespace

AnswerPrinter::AnswerPrinter(const AnswerStyle& style, std::function<void(std::string_view)> write)
    : style_(style), write_(std::move(write)) {}

void AnswerPrinter::push(const tokenizer::StreamEvent& event) {
  using Kind = tokenizer::StreamEvent::Kind;
  switch (event.kind) {
    case Kind::reasoning:
      put_thought(event.text);
      break;
    case Kind::content:
      begin_answer();
      put(event.text);
      break;
    // Nobody here runs tools: a call is shown for what it is.
    case Kind::call_begin:
      begin_answer();
      put("\n[calls " + event.text + ": ");
      break;
    case Kind::call_arguments:
      put(event.text);
      break;
    case Kind::call_end:
      put("]\n");
      break;
  }
}

void AnswerPrinter::finish() {
  if (part_ == Part::thought && style_.terminal && style_.hide_thoughts) put_folded(true);
  if (line_open_) write_("\n");
  part_ = Part::nothing;
  thought_pieces_ = 0;
  line_open_ = false;
}

void AnswerPrinter::put(std::string_view text) {
  if (text.empty()) return;
  const std::string safe = style_.terminal ? terminal_text(text) : std::string(text);
  if (safe.empty()) return;
  write_(safe);
  line_open_ = safe.back() != '\n';
}

void AnswerPrinter::put_thought(std::string_view text) {
  if (!style_.terminal || text.empty()) return;
  ++thought_pieces_;
  if (style_.hide_thoughts) {
    part_ = Part::thought;
    put_folded(false);
    return;
  }
  if (part_ != Part::thought && !style_.color) write_("(thinks)\n");
  part_ = Part::thought;
  // Colour is switched off behind every piece: whatever happens next, the terminal is left clean.
  if (style_.color) write_(kDim);
  put(text);
  if (style_.color) write_(kPlain);
}

void AnswerPrinter::begin_answer() {
  if (part_ == Part::thought) {
    if (style_.hide_thoughts) {
      put_folded(true);
    } else {
      write_(line_open_ ? "\n\n" : "\n");
      if (!style_.color) write_("(answers)\n");
    }
    line_open_ = false;
  }
  part_ = Part::answer;
}

// One line that is written over while the thought goes on.
void AnswerPrinter::put_folded(bool last) {
  const std::string line = last ? fmt::format("thought for about {} tokens", thought_pieces_)
                                : fmt::format("thinking, {} tokens", thought_pieces_);
  write_(fmt::format("\r\033[K{}{}{}{}", style_.color ? kDim : "", line, style_.color ? kPlain : "",
                     last ? "\n" : ""));
  line_open_ = !last;
}

}  // namespace hadal::cli
