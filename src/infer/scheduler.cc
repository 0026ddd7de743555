#include "infer/scheduler.h"

#include <algorithm>
#include <utility>

namespace hadal::infer {
namespace {

class Planner {
 public:
  Planner(std::span<const SequenceView> queue, const SchedulerLimits& limits)
      : limits_(limits), budget_(limits.step_tokens), available_(limits.pages_available) {
    for (const SequenceView& view : queue) {
      if (view.running)
        running_.push_back({&view, 0, 0});
      else
        waiting_.push_back(&view);
    }
  }

  Plan plan() {
    decodes();
    const int64_t whole = budget_;
    if (budget_ < limits_.step_tokens) budget_ = std::min(budget_, limits_.prompt_tokens);
    const int64_t paced = budget_;
    admissions();
    prompts();
    if (budget_ == paced) budget_ = whole;  // no prompt took part: nothing to pace
    drafts();
    for (const Running& r : running_)
      if (r.tokens > 0) plan_.chunks.push_back({r.view->id, r.tokens});
    return std::move(plan_);
  }

 private:
  struct Running {
    const SequenceView* view;
    int64_t tokens = 0;  // planned
    int64_t pages = 0;   // new pages planned
  };

  int64_t pages_for(int64_t positions) const {
    return (positions + limits_.page_tokens - 1) / limits_.page_tokens;
  }

  // The most tokens of a sequence that the available pages allow in this step.
  int64_t room(const SequenceView& view) const {
    return (view.pages_held + available_) * limits_.page_tokens - view.computed;
  }

  // Takes pages from sequences younger than running_[keep] until it has room for `tokens`.
  bool make_room(size_t keep, int64_t tokens) {
    while (room(*running_[keep].view) < tokens) {
      if (running_.size() == keep + 1) return false;
      const Running& youngest = running_.back();
      if (youngest.view->busy) return false;
      plan_.preempt.push_back(youngest.view->id);
      available_ += youngest.pages + youngest.view->pages_held - youngest.view->pages_others;
      budget_ += youngest.tokens;
      running_.pop_back();
    }
    return true;
  }

  void give(Running& r, int64_t tokens) {
    const SequenceView& view = *r.view;
    r.tokens += tokens;
    const int64_t pages =
        std::max<int64_t>(0, pages_for(view.computed + r.tokens) - view.pages_held);
    available_ -= pages - r.pages;
    r.pages = pages;
    budget_ -= tokens;
  }

  void decodes() {
    for (size_t i = 0; i < running_.size() && budget_ > 0; ++i) {
      const SequenceView& view = *running_[i].view;
      if (view.known - view.computed == 1 && !view.held && !view.busy && make_room(i, 1))
        give(running_[i], 1);
    }
  }

  void admissions() {
    // A sequence that has just lost its place would only take it from itself.
    if (!plan_.preempt.empty()) return;
    const int64_t most = std::min(limits_.sequences_max, limits_.step_tokens);
    int64_t promised = 0;
    for (const Running& r : running_)
      promised += std::max<int64_t>(0, pages_for(r.view->known + 1) - r.view->pages_held - r.pages);
    for (const SequenceView* view : waiting_) {
      if (static_cast<int64_t>(running_.size()) >= most) return;
      const int64_t needed = pages_for(view->known + 1) - view->pages_others;
      if (needed > available_ - promised) return;
      // Pages that it finds, and that nobody holds now, are available no more.
      available_ -= view->pages_held - view->pages_others;
      promised += pages_for(view->known + 1) - view->pages_held;
      plan_.admit.push_back(view->id);
      running_.push_back({view, 0, 0});
    }
  }

  // How much of `wanted` tokens a prompt takes: within its chunk, the budget and the pages; unless
  // that is all it wants, up to the end of a page.
  int64_t fit(const SequenceView& view, int64_t wanted) const {
    const int64_t target = std::min(view.known, view.chunk_end) - view.computed;
    const int64_t tokens = std::min({wanted, target, budget_, room(view)});
    if (tokens <= 0) return 0;
    if (tokens == target) return tokens;
    const int64_t end = view.computed + tokens;
    const int64_t aligned = end - end % limits_.page_tokens;
    return aligned > view.computed ? aligned - view.computed : tokens;
  }

  void prompts() {
    const auto left = [&](size_t i) {
      const SequenceView& view = *running_[i].view;
      return std::min(view.known, view.chunk_end) - view.computed;
    };
    std::vector<size_t> order;  // those with something to do
    for (size_t i = 0; i < running_.size(); ++i) {
      const SequenceView& view = *running_[i].view;
      if (running_[i].tokens == 0 && !view.held && !view.busy && left(i) <= limits_.prompt_left_max)
        order.push_back(i);
    }
    if (order.empty() || budget_ <= 0) return;
    int64_t others = 0;
    for (size_t i = 1; i < order.size(); ++i) others += left(order[i]);
    const size_t oldest = order.front();
    const int64_t share = std::max((budget_ + 1) / 2, budget_ - others);
    if (make_room(oldest, 1)) give(running_[oldest], fit(*running_[oldest].view, share));
    std::erase_if(order, [&](size_t i) { return i == oldest || i >= running_.size(); });
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return left(a) < left(b); });
    for (const size_t i : order)
      if (const int64_t tokens = fit(*running_[i].view, budget_); tokens > 0)
        give(running_[i], tokens);
  }

  void drafts() {
    for (Running& r : running_) {
      const SequenceView& view = *r.view;
      if (view.known - view.computed != r.tokens) continue;
      const int64_t held = (view.pages_held + r.pages) * limits_.page_tokens;
      const int64_t tokens = std::min({view.drafts, budget_, held - view.known});
      if (tokens > 0) give(r, tokens);
    }
  }

  const SchedulerLimits& limits_;
  int64_t budget_;
  int64_t available_;
  std::vector<Running> running_;  // in order of arrival
  std::vector<const SequenceView*> waiting_;
  Plan plan_;
};

}  // namespace

Plan plan_step(std::span<const SequenceView> queue, const SchedulerLimits& limits) {
  return Planner(queue, limits).plan();
}

}  // namespace hadal::infer
