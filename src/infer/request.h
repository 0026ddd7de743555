// What a client asks of the engine, and what it gets back.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grammar/constraint.h"
#include "infer/sampler.h"

namespace hadal::infer {

// How the engine tells reasoning from answer, to count it and to end it. Markers are found by id
// where the vocabulary has them, else by their spelling in the generated text.
struct Thinking {
  bool starts_inside = false;  // the prompt ends behind an open thought
  bool may_open = false;  // a constrained answer may begin with open_id (Qwen 3 does it itself)
  int64_t budget = -1;    // the most tokens of reasoning; negative: no bound
  int32_t open_id = -1, close_id = -1;
  std::string open_text, close_text;  // used where the id is -1; "": there is none
  std::vector<int32_t> close;  // forced when the budget is spent: the marker and what follows it
};

struct Request {
  std::vector<int32_t> prompt;  // ids, at least one
  SamplingParams sampling;
  int64_t max_tokens = -1;  // of the answer, reasoning included; negative: until the context
                            // is full
  // The answer ends before the first of these (at most 64); they mean nothing inside a thought.
  std::vector<std::string> stop;
  std::vector<int32_t> stop_ids;  // besides the model's own
  bool ignore_eos = false;        // the model's own stop ids are tokens like others
  Thinking thinking;
  // What the answer must look like, from the first token behind the thought on; null: anything. The
  // answer ends by itself where nothing can follow, and may end where the grammar is satisfied.
  std::shared_ptr<const grammar::Constraint> constraint;
  uint64_t owner = 0;   // prefixes are shared between requests of the same owner only
  uint64_t stream = 0;  // tells choices of one request with one seed apart
};

enum class FinishReason {
  stop,       // a stop id or a stop string
  length,     // max_tokens, or the context is full
  cancelled,  // by the client
  error,      // Event::text says what
};

struct RequestStats {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;     // of the prompt, taken from the prefix cache and not computed
  int64_t generated_tokens = 0;  // the stop token included
  int64_t reasoning_tokens = 0;  // of them, markers not counted
  int64_t drafted_tokens = 0;    // guessed by the MTP layer and verified
  int64_t accepted_tokens = 0;   // of them, those that were right: each saved a step
  int64_t preemptions = 0;
  double queue_ms = 0;    // from submission to the first step
  double prefill_ms = 0;  // from there to the first token
  double decode_ms = 0;   // from there to the last token
  uint64_t seed = 0;      // the one used
};

struct Event {
  enum class Kind {
    progress,  // a part of the prompt was computed: prompt_done of stats.prompt_tokens
    token,     // a token of the answer
    partial,   // the beginning of a token's text, in front of a stop string; comes last
    finish,    // the end; nothing follows
  };
  uint64_t id = 0;  // of the request
  Kind kind = Kind::token;
  int32_t token = -1;  // token, partial
  std::string text;    // token, partial: its bytes, maybe not whole characters, "" for special
                       // tokens; finish by error: the message
  float logprob = 0;   // token: if asked for
  std::vector<TokenLogprob> top;
  bool reasoning = false;                    // token: inside a thought
  int64_t prompt_done = 0;                   // progress: positions in the cache
  FinishReason reason = FinishReason::stop;  // finish
  std::string stop;                          // finish: the stop string that was met, or ""
  RequestStats stats;                        // progress, finish
};

}  // namespace hadal::infer
