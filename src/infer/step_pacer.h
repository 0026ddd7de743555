// How many tokens of prompts a step may take beside answers that are being written, so that these
// do not stall: a step with prompts in it may last so many times as long as one without.
//
// Nothing is known of the machine or the model: steps are timed, and the size of the pieces
// follows. It changes when answers come, never what they say.
#pragma once

#include <cstdint>

namespace hadal::infer {

class StepPacer {
 public:
  // tokens_max: of a step at all. stall_max: how many times as long a step may last; 0: no bound.
  StepPacer(int64_t tokens_max, double stall_max)
      : tokens_max_(tokens_max), stall_max_(stall_max) {}

  // What prompts may take of the next step if answers are in it, too. context: positions before the
  // prompt's next token, all of which a piece of it has to look at, however small it is.
  int64_t prompt_tokens(int64_t context) const;
  // A step with `decodes` tokens of answers and `prompt_tokens` of prompts took so long.
  void took(int64_t decodes, int64_t prompt_tokens, double seconds);

 private:
  int64_t tokens_max_;
  double stall_max_;
  double decode_s_ = 0;  // of a step with answers alone; 0: unknown
  double piece_ = 64;    // tokens of prompts
  int64_t since_ = 0;    // steps with both since the last one without prompts
};

}  // namespace hadal::infer
