// An answer as it comes, on a terminal or into a pipe. Into a pipe goes the answer alone, byte by
// byte; on a terminal a thought is dimmed or folded to one line, and control characters are made
// harmless.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "tokenizer/stream_markup.h"

namespace hadal::cli {

struct AnswerStyle {
  bool terminal = false;
  bool color = false;
  bool hide_thoughts = false;
};

class AnswerPrinter {
 public:
  AnswerPrinter(const AnswerStyle& style, std::function<void(std::string_view)> write);

  void push(const tokenizer::StreamEvent& event);
  // Ends the line. Later pushes begin a new answer.
  void finish();
  bool in_thought() const { return part_ == Part::thought; }

 private:
  enum class Part { nothing, thought, answer };

  void put(std::string_view text);
  void put_thought(std::string_view text);
  void begin_answer();
  void put_folded(bool last);

  AnswerStyle style_;
  std::function<void(std::string_view)> write_;
  Part part_ = Part::nothing;
  int64_t thought_pieces_ = 0;
  bool line_open_ = false;
};

}  // namespace hadal::cli
