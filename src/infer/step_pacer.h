// How prompts and answers share the machine, so that answers do not stall while prompts are read.
// A pass over a piece of a prompt is computed a few layers at a time, and between them the answers
// go on: a token may take so many times as long as without prompts. Large pieces read each weight
// once for many tokens; so large that a layer of one fits into that time.
//
// Nothing is known of the machine or the model: passes are timed. It changes when answers come,
// never what they say.
#pragma once

#include <cstdint>

namespace hadal::infer {

class StepPacer {
 public:
  // tokens_max: of a pass at all. stall_max: how many times as long a token of an answer may take;
  // 0: no bound.
  StepPacer(int64_t tokens_max, double stall_max)
      : tokens_max_(tokens_max),
        stall_max_(stall_max),
        piece_(static_cast<double>(tokens_max < piece_first ? tokens_max : piece_first)) {}

  // Of the next piece of prompts.
  int64_t prompt_tokens() const {
    return stall_max_ > 0 ? static_cast<int64_t>(piece_) : tokens_max_;
  }
  // A pass with answers alone took so long.
  void answered(double seconds);
  // Whether prompts may take `seconds` beside one pass with answers.
  bool allows(double seconds) const;
  // A piece of so many tokens was computed, its longest layer in so many seconds.
  void computed(int64_t prompt_tokens, double longest_layer);

 private:
  static constexpr int64_t piece_first = 64;
  double budget() const;

  int64_t tokens_max_;
  double stall_max_;
  double piece_;
  double answer_s_ = 0;  // 0: unknown
};

}  // namespace hadal::infer
