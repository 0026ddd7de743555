#include "infer/draft_controller.h"

#include <algorithm>
#include <span>

#include "base/error.h"

namespace hadal::infer {
namespace {

constexpr double purse_share = 0.015;
// Below this gain the estimates are not good enough to tell it from a loss.
constexpr double pays_from = 1.02;
constexpr int64_t plain_steps_first = 3;  // before anything is compared with them
constexpr int64_t plain_step_every = 32;  // what a plain step takes changes with the context
constexpr int64_t trial_interval_max = 256;
// Evidence of acceptance: what was known before counts as two drafts, one of them accepted; what is
// older than some 30 drafts, or 100 steps without any, counts no more.
constexpr double prior_tried = 2, prior_accepted = 1;
constexpr double forget_by_draft = 0.97, forget_by_step = 0.99;
// A share of the time of prompts that is never worth saving; and of other prompts, how many are
// read.
constexpr double prompt_share_small = 0.015;
constexpr int64_t prompts_between_trials = 16;

}  // namespace

void RecentMedian::add(double value) {
  values_[count_++ % kept] = value;
  const std::span<const double> all = std::span(values_).first(std::min(kept, count_));
  // The one with as many below as above it, of two the lower one.
  for (const double candidate : all) {
    const auto below = std::ranges::count_if(all, [&](double x) { return x < candidate; });
    const auto equal = std::ranges::count(all, candidate);
    const auto middle = static_cast<int64_t>(all.size() - 1) / 2;
    if (below <= middle && middle < below + equal) median_ = candidate;
  }
}

DraftController::DraftController(int64_t fixed) : fixed_(fixed) {}

DraftController::Cost& DraftController::cost_of(int64_t sequences) {
  HADAL_CHECK(sequences >= 0, "{} sequences", sequences);
  const auto i = static_cast<size_t>(sequences);
  if (i >= costs_.size()) costs_.resize(i + 1);
  return costs_[i];
}

double DraftController::acceptance(int64_t depth) const {
  const Evidence& e = evidence_[static_cast<size_t>(std::min(depth, adaptive_most - 1))];
  return (e.accepted + prior_accepted) / (e.tried + prior_tried);
}

// Tokens per second with drafts over those without.
double DraftController::speedup(const Cost& cost, int64_t sequences, int64_t drafting,
                                int64_t drafts) const {
  double reached = 1, accepted = 0;
  for (int64_t depth = 0; depth < drafts; ++depth) accepted += reached *= acceptance(depth);
  const double plain = cost.plain.value();
  const double all = static_cast<double>(sequences), some = static_cast<double>(drafting);
  const double seconds = plain + some * static_cast<double>(drafts) * cost.draft.value();
  return (all + some * accepted) / all * plain / seconds;
}

int64_t DraftController::choose(int64_t sequences, int64_t drafting) {
  if (drafting == 0) return 0;
  if (fixed_ >= 0) return fixed_;
  const Cost& cost = cost_of(sequences);
  if (cost.plain.count() < plain_steps_first || cost.since_plain >= plain_step_every) return 0;
  int64_t drafts = 1;
  // Before the first trial, a draft is taken to cost what a token costs.
  double each = cost.plain.value() / static_cast<double>(sequences);
  bool pays = false;
  if (cost.draft.count() > 0) {
    double best = 0;
    for (int64_t n = 1; n <= adaptive_most; ++n) {
      const double gain = speedup(cost, sequences, drafting, n);
      if (gain > best) best = gain, drafts = n;
    }
    each = cost.draft.value();
    pays = best > pays_from;
    losing_ = !pays;
    if (!pays) drafts = 1;
  }
  if (!pays && steps_ < next_trial_) return 0;
  return purse_ >= static_cast<double>(drafting * drafts) * each ? drafts : 0;
}

bool DraftController::read_prompt() {
  if (fixed_ >= 0 || !losing_ || prompt_mtp_seconds_ <= prompt_share_small * prompt_seconds_)
    return true;
  return ++prompts_refused_ % prompts_between_trials == 0;
}

void DraftController::step(const Step& step) {
  ++steps_;
  Cost& cost = cost_of(step.sequences);
  double plain = step.seconds;
  if (step.drafts == 0) {
    cost.plain.add(step.seconds);
    cost.since_plain = 0;
    if (!opened_ && cost.plain.count() == plain_steps_first) {
      opened_ = true;
      purse_ += cost.plain.value();
    }
    for (Evidence& e : evidence_) e.tried *= forget_by_step, e.accepted *= forget_by_step;
  } else if (cost.plain.count() > 0) {
    plain = cost.plain.value() * static_cast<double>(step.sequences + step.accepted) /
            static_cast<double>(step.sequences);
    const double added = (step.seconds - cost.plain.value()) / static_cast<double>(step.drafts);
    cost.draft.add(std::max(0.0, added));
    ++cost.since_plain;
    trial_interval_ = plain > step.seconds ? 1 : std::min(2 * trial_interval_, trial_interval_max);
    next_trial_ = steps_ + trial_interval_;
  }
  purse_ += (1 + purse_share) * plain - step.seconds;
}

void DraftController::verified(int64_t depth, bool accepted) {
  Evidence& e = evidence_[static_cast<size_t>(std::min(depth, adaptive_most - 1))];
  e.tried = forget_by_draft * e.tried + 1;
  e.accepted = forget_by_draft * e.accepted + (accepted ? 1 : 0);
}

void DraftController::extra(double seconds) {
  purse_ -= seconds;
}

void DraftController::prompt(double main_seconds, double mtp_seconds) {
  prompt_seconds_ += main_seconds;
  prompt_mtp_seconds_ += mtp_seconds;
}

}  // namespace hadal::infer
