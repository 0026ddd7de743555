// What speculation by the MTP layer gains here: an engine with drafts against one without, in turn.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "eval/bench.h"
#include "infer/loaded_model.h"

namespace hadal::eval {

struct MtpRow {
  int64_t batch = 1;
  int64_t drafts = -1;  // as EngineOptions::drafts
  // Tokens per second of all sequences together, medians over the repetitions.
  double plain = 0, drafting = 0;
  int64_t drafted = 0, accepted = 0;  // tokens
  double ratio() const { return plain > 0 ? drafting / plain : 0; }
  double acceptance() const {
    return drafted > 0 ? static_cast<double>(accepted) / static_cast<double>(drafted) : 0;
  }
};

// A row for each of options.batches: sequences that go on greedily behind random prompts, for
// options.generate tokens. The model has an MTP layer.
std::vector<MtpRow> bench_mtp(const infer::LoadedModel& loaded, const BenchOptions& options,
                              int64_t drafts, ThreadPool& pool,
                              const std::function<void(const MtpRow&)>& on_row = {});

}  // namespace hadal::eval
