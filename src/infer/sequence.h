// One request inside the engine: its tokens, its pages, and what becomes of each new token until it
// is an event. Knows nothing of other sequences.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "infer/loaded_model.h"
#include "infer/page_store.h"
#include "infer/reasoning.h"
#include "infer/request.h"
#include "infer/stop_matcher.h"

namespace hadal::infer {

using Clock = std::chrono::steady_clock;

// What speculation keeps of a sequence.
struct Drafting {
  bool ready = false;           // the MTP layer has read all of the sequence that it could
  int64_t computed = 0;         // positions that it has read
  std::vector<float> hidden;    // states of those behind: [positions, hidden]
  std::vector<int32_t> tokens;  // the last known token, and drafts of those that follow; or none
};

// What the cache on disk keeps of a sequence.
struct DiskPlace {
  std::vector<PageKey> keys;                // the root, then those of pages, as far as needed
  int64_t since = 0;                        // when the first of them was needed
  int64_t saved_pages = 0;                  // the first of them, that need not be written
  std::shared_ptr<PageStore::Fetch> fetch;  // pages that it waits for; or null
  bool given_up = false;                    // the disk was too slow
};

class Sequence {
 public:
  // The request has been checked. tokens_max: the most tokens of the answer, > 0. The model must
  // outlive the sequence.
  Sequence(uint64_t id, Request request, int64_t tokens_max, uint64_t seed,
           const LoadedModel& model);

  uint64_t id() const { return id_; }
  const Request& request() const { return request_; }
  const std::vector<int32_t>& tokens() const { return tokens_; }  // prompt and answer
  int64_t known() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t prompt_size() const { return stats_.prompt_tokens; }
  const TokenCounts* counts() const { return counts_ ? &*counts_ : nullptr; }
  int64_t tokens_left() const { return tokens_max_ - stats_.generated_tokens; }
  const RequestStats& stats() const { return stats_; }
  bool finished() const { return finished_; }

  // The token that must come next, because the budget for thinking is spent; or nothing.
  std::optional<int32_t> forced() const;
  // Finds what the request's constraint allows next: allowed(), until the next token is accepted.
  // False if that takes too much work: why_none_left() says so.
  bool find_allowed();
  const Allowed& allowed() const { return allowed_; }
  std::string why_none_left() const;
  // Takes the next token: pushes its events, now or later, and the finish if this was the last.
  void accept(const Sampled& sampled, std::vector<TokenLogprob>&& top, std::vector<Event>& events);
  // What is held back is delivered first. error: the message, for FinishReason::error.
  void finish(FinishReason reason, std::string error, std::vector<Event>& events);

  void started();                                    // it is in a step for the first time
  void prompt_advanced(std::vector<Event>& events);  // a part of the prompt was computed
  void count_cached(int64_t tokens);                 // these positions came from the cache
  void preempted();
  void count_drafts(int64_t verified, int64_t accepted);

  // ---- the engine's view of the cache
  bool running = false;
  bool busy = false;           // a pass that is under way computes it: nothing of it may change
  int64_t computed = 0;        // positions in the cache
  std::vector<int32_t> pages;  // of the computed positions
  int64_t shared_pages = 0;    // the first of them, in the prefix tree or refused by it
  Drafting drafting;
  DiskPlace disk;
  // The tokens of a full page, and its key in the prefix tree.
  std::span<const int32_t> page(int64_t index) const;
  uint64_t page_key(int64_t index);

 private:
  struct Pending {
    Event event;
    size_t end;  // of its text in the whole answer, bytes
  };
  bool is_stop(int32_t token) const;
  // Stop strings are looked for in the answer alone: not in thoughts, nor in the blank lines
  // between a thought and the answer, which are part of the dialogue's form.
  StopMatcher::Result find_stop(std::string_view text, bool in_thought);
  bool is_constrained() const { return matcher_ && !reasoning_.inside() && !forced(); }
  int64_t generated() const { return known() - prompt_size(); }
  bool may_open_thought() const;
  bool track_thought(int32_t token, std::string_view text);  // true: it belongs to the thought
  void deliver(size_t safe, std::vector<Event>& events);

  uint64_t id_;
  Request request_;
  const LoadedModel& model_;
  int64_t tokens_max_;
  std::vector<int32_t> tokens_;
  std::optional<TokenCounts> counts_;
  StopMatcher stops_;
  bool behind_thought_ = false;  // nothing of the answer stands behind the last thought yet
  ReasoningTracker reasoning_;
  std::optional<grammar::Matcher> matcher_;
  std::shared_ptr<const grammar::TokenMask> mask_;
  Allowed allowed_;
  std::string constraint_error_;
  std::vector<uint64_t> page_keys_;  // of full pages, as far as they were needed
  size_t forced_done_ = 0;           // tokens of request_.thinking.close that were forced
  std::deque<Pending> pending_;
  size_t bytes_ = 0;  // of text so far, held back or not
  RequestStats stats_;
  Clock::time_point submitted_, started_, first_token_;
  bool finished_ = false;
};

}  // namespace hadal::infer
