#include "infer/step_pacer.h"

#include <algorithm>

namespace hadal::infer {
namespace {

// Of the bound, what is aimed at: passes vary.
constexpr double aim = 0.8;
// Still smaller pieces would cost prompts dearly and hardly make layers shorter.
constexpr int64_t piece_min = 8;
constexpr double growth_max = 1.2;  // of what a pass with answers is taken to last

}  // namespace

double StepPacer::budget() const {
  return std::max(0.0, aim * stall_max_ - 1) * answer_s_;
}

void StepPacer::answered(double seconds) {
  // Whatever else runs on the machine makes single passes longer, never shorter.
  answer_s_ = answer_s_ == 0 ? seconds : std::min(seconds, growth_max * answer_s_);
}

bool StepPacer::allows(double seconds) const {
  return stall_max_ <= 0 || seconds <= budget();
}

void StepPacer::computed(int64_t prompt_tokens, double longest_layer) {
  const auto most = static_cast<double>(std::max(tokens_max_, piece_min));
  // The end of a prompt tells little about whole pieces.
  if (answer_s_ == 0 || static_cast<double>(prompt_tokens) < piece_ / 2) return;
  const double factor = std::clamp(budget() / longest_layer, 0.5, 1.5);
  piece_ =
      std::clamp(static_cast<double>(prompt_tokens) * factor, static_cast<double>(piece_min), most);
}

}  // namespace hadal::infer
