#include "eval/bench.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "eval/sequence.h"
#include "quant/format.h"

namespace hadal::eval {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint64_t seed = 1;

std::vector<int32_t> random_tokens(int64_t n, int64_t vocab, uint64_t stream) {
  std::vector<int32_t> out(static_cast<size_t>(n));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<int32_t>(random_uniform(seed, stream, i) * static_cast<double>(vocab));
  return out;
}

// Sequences with `depth` positions of random cache content in front.
class Field {
 public:
  Field(const model::Model& model, const BenchOptions& options, ThreadPool& pool, int64_t batch,
        int64_t positions, int64_t rows_max)
      : model_(model),
        runner_(model, options.precision, pool, rows_max),
        cache_(model.config, cache_type(options.precision, options.cache),
               batch * pages_for(positions)) {
    for (int64_t b = 0; b < batch; ++b) {
      std::vector<int32_t> pages(static_cast<size_t>(pages_for(positions)));
      std::iota(pages.begin(), pages.end(), static_cast<int32_t>(b * pages_for(positions)));
      pages_.push_back(std::move(pages));
    }
  }

  // Latents behind their norm have about unit size, so normal numbers are what attention meets.
  void fill(int64_t depth) {
    if (depth == 0) return;
    const int64_t elements = model::KvCache::page_tokens * cache_.width();
    std::vector<float> f32(static_cast<size_t>(elements));
    std::vector<std::byte> page(static_cast<size_t>(cache_.entry_bytes()) *
                                model::KvCache::page_tokens);
    for (size_t i = 0; i < f32.size(); ++i) f32[i] = random_normal(seed, 7, i);
    quant::encode_row(cache_.type(), f32.data(), page.data(), elements);
    for (const auto& pages : pages_)
      for (int64_t p = 0; p < pages_for(depth); ++p)
        for (int64_t layer = 0; layer < model_.config.layers; ++layer)
          std::copy(page.begin(), page.end(), cache_.page(layer, pages[static_cast<size_t>(p)]));
  }

  void prefill(std::span<const int32_t> tokens, int64_t depth, int64_t chunk,
               model::Trace* trace = nullptr) {
    const auto total = static_cast<int64_t>(tokens.size());
    for (int64_t begin = 0; begin < total; begin += chunk) {
      const int64_t n = std::min(chunk, total - begin);
      model::Segment segment;
      segment.tokens = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(n));
      segment.start = depth + begin;
      segment.pages = pages_.front();
      segment.logits_from = begin + n == total ? n - 1 : n;
      runner_.forward(cache_, {&segment, 1}, trace);
    }
  }

  void decode(std::span<const int32_t> tokens, int64_t position, model::Trace* trace = nullptr) {
    std::vector<model::Segment> segments(pages_.size());
    for (size_t b = 0; b < segments.size(); ++b) {
      segments[b].tokens = tokens.subspan(b, 1);
      segments[b].start = position;
      segments[b].pages = pages_[b];
      segments[b].form = model::AttentionForm::absorbed;
    }
    runner_.forward(cache_, segments, trace);
  }

  int64_t entry_bytes() const { return cache_.entry_bytes(); }

 private:
  static int64_t pages_for(int64_t positions) {
    return (positions + model::KvCache::page_tokens - 1) / model::KvCache::page_tokens;
  }

  const model::Model& model_;
  model::Runner runner_;
  model::KvCache cache_;
  std::vector<std::vector<int32_t>> pages_;
};

std::vector<int64_t> distinct_experts(const model::Model& model, const model::Trace& trace) {
  std::vector<int64_t> out(model.layers.size());
  for (size_t i = 0; i < out.size() && i < trace.routers.size(); ++i) {
    const auto& experts = trace.routers[i].experts;
    out[i] = static_cast<int64_t>(std::set<int32_t>(experts.begin(), experts.end()).size());
  }
  return out;
}

// Called while the row's buffers are still held.
void finish(BenchRow& row) {
  std::vector<double> sorted = row.tokens_per_second;
  std::sort(sorted.begin(), sorted.end());
  row.lowest = sorted.front();
  row.highest = sorted.back();
  row.anonymous_bytes = process_memory().anonymous_resident;
  const size_t half = sorted.size() / 2;
  row.median = sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2.0;
}

Traffic divided(const Traffic& traffic, double tokens) {
  return {traffic.bytes / tokens, traffic.operations / tokens};
}

BenchRow bench_prefill(const model::Model& model, const BenchOptions& options, ThreadPool& pool,
                       int64_t prompt, int64_t depth) {
  const int64_t chunk = std::min(options.chunk, prompt);
  Field field(model, options, pool, 1, depth + prompt, chunk);
  field.fill(depth);
  const std::vector<int32_t> tokens = random_tokens(prompt, model.config.vocab_size, 2);
  BenchRow row{.work = "prefill", .tokens = prompt, .depth = depth};
  model::Trace trace;
  field.prefill(std::span(tokens).first(static_cast<size_t>(chunk)), depth, chunk, &trace);
  const std::vector<int64_t> experts = distinct_experts(model, trace);
  Traffic sum;
  for (int64_t begin = 0; begin < prompt; begin += chunk) {
    const int64_t n = std::min(chunk, prompt - begin);
    const double mean_depth = static_cast<double>(depth + begin) + static_cast<double>(n + 1) / 2.0;
    Traffic part = step_traffic(model, n, begin + n == prompt ? 1 : 0, mean_depth, experts, false,
                                field.entry_bytes());
    sum.bytes += part.bytes;
    sum.operations += part.operations;
  }
  row.per_token = divided(sum, static_cast<double>(prompt));
  for (int r = 0; r < options.repetitions; ++r) {
    const auto start = Clock::now();
    field.prefill(tokens, depth, chunk);
    const std::chrono::duration<double> time = Clock::now() - start;
    row.tokens_per_second.push_back(static_cast<double>(prompt) / time.count());
  }
  finish(row);
  return row;
}

BenchRow bench_decode(const model::Model& model, const BenchOptions& options, ThreadPool& pool,
                      int64_t batch, int64_t depth) {
  const int64_t steps = options.generate;
  Field field(model, options, pool, batch, depth + steps + 1, batch);
  field.fill(depth);
  BenchRow row{.work = "decode", .tokens = steps, .depth = depth, .batch = batch};
  const std::vector<int32_t> tokens =
      random_tokens(batch * (steps + 1), model.config.vocab_size, 3);
  const auto step_tokens = [&](int64_t step) {
    return std::span(tokens).subspan(static_cast<size_t>(step * batch), static_cast<size_t>(batch));
  };
  model::Trace trace;
  field.decode(step_tokens(steps), depth, &trace);
  const double mean_depth = static_cast<double>(depth) + static_cast<double>(steps + 1) / 2.0;
  row.per_token = divided(step_traffic(model, batch, batch, mean_depth,
                                       distinct_experts(model, trace), true, field.entry_bytes()),
                          static_cast<double>(batch));
  for (int r = 0; r < options.repetitions; ++r) {
    const auto start = Clock::now();
    for (int64_t step = 0; step < steps; ++step) field.decode(step_tokens(step), depth + step);
    const std::chrono::duration<double> time = Clock::now() - start;
    row.tokens_per_second.push_back(static_cast<double>(batch * steps) / time.count());
  }
  finish(row);
  return row;
}

void check(const model::ModelConfig& config, const BenchOptions& options) {
  const auto in_range = [](const char* what, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
      fail(ErrorKind::usage, "{} is {}, expected {} to {}", what, value, low, high);
  };
  in_range("repetitions", options.repetitions, 1, 1000);
  in_range("chunk", options.chunk, 1, 8192);
  in_range("generated tokens", options.generate, 1, config.context_length);
  for (const int64_t depth : options.depths) {
    in_range("depth", depth, 0, config.context_length - 1);
    for (const int64_t prompt : options.prompts)
      in_range("depth plus prompt", depth + prompt, 1, config.context_length);
    in_range("depth plus generated tokens", depth + options.generate + 1, 1, config.context_length);
  }
  for (const int64_t prompt : options.prompts) in_range("prompt", prompt, 1, config.context_length);
  for (const int64_t batch : options.batches) in_range("batch", batch, 1, 1024);
}

}  // namespace

std::vector<BenchRow> run_bench(const model::Model& model, const BenchOptions& options,
                                ThreadPool& pool,
                                const std::function<void(const BenchRow&)>& on_row) {
  check(model.config, options);
  std::vector<BenchRow> rows;
  const auto add = [&](BenchRow row) {
    if (on_row) on_row(row);
    rows.push_back(std::move(row));
  };
  for (const int64_t depth : options.depths)
    for (const int64_t prompt : options.prompts)
      add(bench_prefill(model, options, pool, prompt, depth));
  for (const int64_t depth : options.depths)
    for (const int64_t batch : options.batches)
      add(bench_decode(model, options, pool, batch, depth));
  return rows;
}

}  // namespace hadal::eval
