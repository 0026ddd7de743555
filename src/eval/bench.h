// How fast a model runs here: prompts and generation at given depths and batch sizes, against the
// bytes that must move and this machine's measured limits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "eval/machine.h"
#include "eval/traffic.h"
#include "model/forward.h"

namespace hadal::eval {

struct BenchOptions {
  std::vector<int64_t> prompts = {512};  // tokens of a prompt; empty: no prefill
  std::vector<int64_t> depths = {0};     // tokens in the cache before
  std::vector<int64_t> batches = {1};    // sequences that generate together; empty: no decode
  int64_t generate = 64;                 // tokens generated per sequence and repetition
  int repetitions = 5;
  int64_t chunk = 512;  // prompt tokens per forward call
  model::Precision precision = model::Precision::native;
  std::optional<quant::Type> cache;  // unset: the precision's own
};

struct BenchRow {
  std::string work;    // "prefill" or "decode"
  int64_t tokens = 0;  // of the prompt, or generated per sequence
  int64_t depth = 0;
  int64_t batch = 1;
  std::vector<double> tokens_per_second{};  // of all sequences together, by repetition
  double median = 0.0, lowest = 0.0, highest = 0.0;
  Traffic per_token{};          // least traffic, divided by tokens
  int64_t anonymous_bytes = 0;  // of memory at the end, not mapped from files
};

// The rows in the order prompts, then decodes. on_row is called as each is done; it may throw to
// stop. Token ids and the cache's content before `depth` are random (seeded).
std::vector<BenchRow> run_bench(const model::Model& model, const BenchOptions& options,
                                ThreadPool& pool,
                                const std::function<void(const BenchRow&)>& on_row = {});

}  // namespace hadal::eval
