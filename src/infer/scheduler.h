// What the next step computes: a pure function of the queue.
//
// - Sequences with one token to compute (decodes) come first: answers go on while prompts are read.
// - What is left of the step's budget (beside decodes: no more than prompt_tokens) goes to prompts:
// at least half of it to the oldest, so it
//   cannot starve; the rest to those with the least left to do, so a short question does not wait
//   behind a long document; what these do not need, to the oldest again.
// - Drafts, of tokens behind the last known one, take what is left of the budget, and no page.
// - Waiting sequences enter strictly in order of arrival, as soon as there is room for all their
//   known tokens and one more besides what running prompts still need.
// - When pages run out, an older sequence takes them from the youngest (which waits and is computed
//   again later), if that is not busy; a younger one pauses until there is room. The oldest can
//   therefore always go on, at the latest when a pass that is under way ends.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace hadal::infer {

struct SequenceView {
  uint64_t id = 0;
  bool running = false;
  bool held = false;      // pauses in this step: an older one is computing the page that it needs
  bool busy = false;      // a pass that is under way has it: nothing of it may change
  int64_t computed = 0;   // positions in the cache (waiting: that it would find there)
  int64_t known = 0;      // tokens of prompt and answer so far, > computed
  int64_t chunk_end = 0;  // a chunk ends here at the latest, > computed
  // Of the computed positions, and maybe of the next ones (waiting: that it would find).
  int64_t pages_held = 0;
  int64_t pages_others = 0;  // of them, those that other sequences hold, too
  int64_t drafts = 0;        // tokens that may be computed behind the known ones
};

struct SchedulerLimits {
  int64_t step_tokens = 512;
  int64_t sequences_max = 32;  // in force: at most step_tokens, so that decodes always fit
  int64_t pages_available = 0;
  int64_t page_tokens = 64;
  // Of step_tokens, for prompts in steps that have decodes, too. 0 would starve them.
  int64_t prompt_tokens = std::numeric_limits<int64_t>::max();
  // Prompts with more left to compute than this wait.
  int64_t prompt_left_max = std::numeric_limits<int64_t>::max();
};

struct Plan {
  struct Chunk {
    uint64_t id = 0;
    int64_t tokens = 0;  // drafts included
  };
  std::vector<uint64_t> preempt;  // first these give their pages back,
  std::vector<uint64_t> admit;    // then these take what they find in the cache,
  std::vector<Chunk> chunks;      // then this is computed
};

// queue: in order of arrival.
Plan plan_step(std::span<const SequenceView> queue, const SchedulerLimits& limits);

}  // namespace hadal::infer
