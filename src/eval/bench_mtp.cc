#include "eval/bench_mtp.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "infer/engine.h"

namespace hadal::eval {
namespace {

constexpr int64_t prompt_tokens = 32;

infer::Request request_of(const BenchOptions& options, int64_t vocab, int64_t index) {
  infer::Request request;
  for (uint64_t i = 0; i < prompt_tokens; ++i)
    request.prompt.push_back(static_cast<int32_t>(
        random_uniform(1, static_cast<uint64_t>(index), i) * static_cast<double>(vocab)));
  request.max_tokens = options.generate;
  request.ignore_eos = true;
  request.sampling.temperature = 0;
  return request;
}

// Tokens per second behind the prompts.
double generate(infer::Engine& engine, const BenchOptions& options, MtpRow& row) {
  const int64_t vocab = engine.model().model->config.vocab_size;
  for (int64_t i = 0; i < row.batch; ++i) engine.submit(request_of(options, vocab, i));
  double longest_ms = 0;
  int64_t tokens = 0;
  while (!engine.idle())
    for (const infer::Event& event : engine.step()) {
      if (event.kind != infer::Event::Kind::finish) continue;
      if (event.reason == infer::FinishReason::error)
        fail(ErrorKind::unsupported, "{}", event.text);
      tokens += event.stats.generated_tokens - 1;
      longest_ms = std::max(longest_ms, event.stats.decode_ms);
      row.drafted += event.stats.drafted_tokens;
      row.accepted += event.stats.accepted_tokens;
    }
  return static_cast<double>(tokens) * 1000 / longest_ms;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::vector<MtpRow> bench_mtp(const infer::LoadedModel& loaded, const BenchOptions& options,
                              int64_t drafts, ThreadPool& pool,
                              const std::function<void(const MtpRow&)>& on_row) {
  HADAL_CHECK(!loaded.model->mtp.empty(), "{} has no MTP layer", loaded.name);
  if (options.generate < 2)
    fail(ErrorKind::usage, "{} tokens are too few to measure speculation: 2 are needed",
         options.generate);
  std::vector<MtpRow> rows;
  for (const int64_t batch : options.batches) {
    MtpRow row{.batch = batch, .drafts = drafts};
    infer::EngineOptions engine;
    engine.context_tokens = prompt_tokens + options.generate;
    engine.cache_tokens = batch * (engine.context_tokens + 64);
    engine.sequences_max = batch;
    engine.precision = options.precision;
    engine.cache_type = options.cache.value_or(engine.cache_type);
    engine.drafts = 0;
    infer::Engine plain(loaded, pool, engine);
    engine.drafts = drafts;
    infer::Engine drafting(loaded, pool, engine);
    std::vector<double> plain_speeds, drafting_speeds;
    for (int r = 0; r < options.repetitions; ++r) {
      plain_speeds.push_back(generate(plain, options, row));
      drafting_speeds.push_back(generate(drafting, options, row));
    }
    row.plain = median(plain_speeds);
    row.drafting = median(drafting_speeds);
    if (on_row) on_row(row);
    rows.push_back(row);
  }
  return rows;
}

}  // namespace hadal::eval
