#include "infer/step_pacer.h"

#include <algorithm>

namespace hadal::infer {
namespace {

// Of the bound, what is aimed at: steps vary.
constexpr double aim = 0.8;
// Weights are read for each step, whatever is in it: still smaller pieces would cost prompts dearly
// and hardly make steps shorter.
constexpr int64_t piece_min = 8;
// With latent attention each piece expands the keys and values of all positions before it. For
// published shapes that costs as much as some 1/40 of them as new tokens: with pieces of 1/32 a
// prompt is read at half its speed at worst.
constexpr int64_t context_share = 32;
// So often a step goes without prompts, to know what that takes now.
constexpr int64_t probe_steps = 64;
constexpr double growth_max = 1.2;  // of what a step without prompts is taken to last

}  // namespace

int64_t StepPacer::prompt_tokens(int64_t context) const {
  if (stall_max_ <= 0) return tokens_max_;
  if (since_ >= probe_steps) return 0;
  return std::min(tokens_max_, std::max(static_cast<int64_t>(piece_), context / context_share));
}

void StepPacer::took(int64_t decodes, int64_t prompt_tokens, double seconds) {
  if (decodes == 0) return;
  if (prompt_tokens == 0) {
    // Whatever else runs on the machine makes single steps longer, never shorter.
    decode_s_ = decode_s_ == 0 ? seconds : std::min(seconds, growth_max * decode_s_);
    since_ = 0;
    return;
  }
  ++since_;
  // The end of a prompt tells little about whole pieces.
  if (decode_s_ == 0 || static_cast<double>(prompt_tokens) < piece_ / 2) return;
  const double factor = std::clamp(aim * stall_max_ * decode_s_ / seconds, 0.5, 1.5);
  piece_ = std::clamp(static_cast<double>(prompt_tokens) * factor, static_cast<double>(piece_min),
                      static_cast<double>(std::max(tokens_max_, piece_min)));
}

}  // namespace hadal::infer
