// Where in a generated text the thought ends, and when its budget is spent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "infer/request.h"

namespace hadal::infer {

class ReasoningTracker {
 public:
  explicit ReasoningTracker(const Thinking& thinking);

  // Takes the next token with its text. True if it belongs to the thought, markers not counted (of
  // a marker that is spelt by several tokens, only the last one is known as such).
  bool push(int32_t token, std::string_view text);

  bool inside() const { return inside_; }
  int64_t tokens() const { return tokens_; }
  // Whether the next token would exceed the budget.
  bool budget_spent() const { return inside_ && budget_ >= 0 && tokens_ >= budget_; }

 private:
  bool ends_with(int32_t token, int32_t id, const std::string& marker) const;

  int64_t budget_;
  int32_t open_id_, close_id_;
  std::string open_text_, close_text_;
  std::string tail_;  // the end of the text, as long as the longer marker
  bool inside_;
  int64_t tokens_ = 0;
};

}  // namespace hadal::infer
