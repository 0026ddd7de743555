// The engine: many sequences at once on one model, in steps. A step asks the scheduler for a plan,
// runs one forward pass over all planned tokens, and samples. docs/engine.md tells the way of a
// request.
//
// Threads: submit, cancel and wake may be called from any thread; everything else from the one
// thread that drives the engine and thereby owns the model's state.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/thread_pool.h"
#include "infer/disk_cache.h"
#include "infer/loaded_model.h"
#include "infer/request.h"
#include "model/forward.h"

namespace hadal::infer {

struct EngineOptions {
  // Tokens of prompt and answer together; 0: as the model was trained for, or what memory allows.
  int64_t context_tokens = 0;
  // Positions that the cache holds for all sequences and kept prefixes; 0: a quarter of the free
  // memory, but no more than sequences_max contexts and four for prefixes. Memory is taken when
  // positions are first written.
  int64_t cache_tokens = 0;
  int64_t step_tokens = 512;  // the most tokens of one forward pass
  // Answers that are being written must not stall while prompts are read: a step with prompts may
  // last so many times as long as one without (as far as pieces of 8 tokens allow); 0: no bound.
  double stall_max = 3;
  int64_t sequences_max = 32;                  // sequences that run at once; the others wait
  int64_t waiting_max = 10000;                 // requests that may wait
  quant::Type cache_type = quant::Type::BF16;  // or F32; Q8_0 (KvCache)
  model::Precision precision = model::Precision::native;
  bool reuse_prefixes = true;
  DiskCacheOptions disk;  // where prefixes are kept across restarts, if anywhere
  // Speculation by the model's MTP layer: drafts of each step, at most drafts_max; 0: none;
  // drafts_auto: as many as pay here, measured while answers are generated. Answers are the same.
  // Without an MTP layer there are none.
  static constexpr int64_t drafts_auto = -1, drafts_max = 8;
  int64_t drafts = drafts_auto;
  // Asked by the engine's thread between layers: true abandons the step, which is computed again
  // when the engine goes on, and cancels the request of generate(). So Ctrl+C needs not wait for
  // hundreds of tokens of a prompt. Empty: never asked.
  std::function<bool()> interrupted;
};

// How the engine stands, for `/stats` and a server's metrics.
struct EngineLoad {
  int64_t running = 0, waiting = 0;
  int64_t pages = 0, pages_free = 0, pages_kept = 0;  // kept: prefixes that nobody uses now
  int64_t page_tokens = 0, page_bytes = 0;
  DiskCacheStats disk;
};

struct GenerateResult {
  std::vector<int32_t> tokens;  // of the answer, without the stop token
  std::string text;
  FinishReason reason = FinishReason::stop;
  std::string stop;
  RequestStats stats;
};

class Engine {
 public:
  // model and pool must outlive the engine. Throws Error(limit) if not even one page of cache can
  // be had, Error(usage | file) for a folder of the cache on disk that cannot be used.
  Engine(const LoadedModel& model, ThreadPool& pool, const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Queues a request and returns its id, never 0. Throws Error(limit) if the prompt and one token
  // exceed the context, or if prompt and max_tokens can never fit the cache, with both numbers;
  // Error(usage) for parameters out of range, ids outside the vocabulary, an empty prompt, stop
  // strings without a tokenizer; Error(limit) if too many wait.
  uint64_t submit(Request request);
  // The request finishes with FinishReason::cancelled in the next step; unknown ids are ignored.
  void cancel(uint64_t id);

  // One step; its events in the order in which they happened, valid until the next step. Empty if
  // there was nothing to do. A request that fails finishes with FinishReason::error, the others go
  // on.
  std::span<const Event> step();
  bool idle() const;  // no request runs or waits
  // Blocks until a request or a cancellation arrives, or wake() is called.
  void wait();
  void wake();

  // Runs a request from submission to its end, for a client that has the engine for itself: events
  // of other requests are lost. on_event sees every event; returning false cancels. Throws as
  // submit; Error(unsupported) if the request finishes by error.
  GenerateResult generate(Request request, const std::function<bool(const Event&)>& on_event = {});

  const LoadedModel& model() const;
  // For the constraints of requests; made at the first call, from any thread. Throws
  // Error(unsupported) if the model has no tokenizer.
  std::shared_ptr<const grammar::Vocabulary> vocabulary() const;
  int64_t context_tokens() const;  // in force: at most what the cache holds
  EngineLoad load() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hadal::infer
