#include "infer/engine_limits.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/kv_cache.h"

namespace hadal::infer {
namespace {

constexpr int64_t page_tokens = model::KvCache::page_tokens;
// Contexts that the cache has room for besides those of sequences that run.
constexpr int64_t prefixes_kept = 4;
constexpr size_t stops_max = 64;
constexpr size_t stop_bytes_max = 4096;

int64_t pages_for(int64_t positions) {
  return (positions + page_tokens - 1) / page_tokens;
}

// A line of /proc/meminfo; 1 GiB if it does not say.
int64_t memory_bytes(std::string_view which) {
  std::ifstream in("/proc/meminfo");
  for (std::string key; in >> key; in.ignore(1000, '\n'))
    if (int64_t kib = 0; key == which && in >> kib) return kib * 1024;
  return int64_t{1} << 30;
}

// Pages that a person asked for; they are reserved, so nothing else would say no before they fill.
int64_t wanted_pages(int64_t tokens, int64_t page_bytes) {
  const int64_t total = memory_bytes("MemTotal:");
  if (tokens / page_tokens >= total / page_bytes)
    fail(ErrorKind::limit,
         "an attention cache of {} tokens is wanted, but this machine's memory of {} MiB holds {}",
         tokens, total >> 20, total / page_bytes * page_tokens);
  return pages_for(tokens);
}

void check_stops(const std::vector<std::string>& stops) {
  if (stops.size() > stops_max)
    fail(ErrorKind::usage, "{} stop strings, but at most {} are allowed", stops.size(), stops_max);
  size_t bytes = 0;
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > stop_bytes_max)
      fail(ErrorKind::usage, "a stop string of {} bytes, but 1 to {} are allowed", stop.size(),
           stop_bytes_max);
    bytes += stop.size();
  }
  if (bytes > stop_bytes_max)
    fail(ErrorKind::usage, "stop strings of {} bytes together, but at most {} are allowed", bytes,
         stop_bytes_max);
}

}  // namespace

EngineSizes choose_sizes(const model::ModelConfig& config, const EngineOptions& options) {
  if (options.step_tokens < 1 || options.sequences_max < 1 || options.context_tokens < 0)
    fail(ErrorKind::usage,
         "a step of {} tokens, {} sequences, a context of {}: all must be positive",
         options.step_tokens, options.sequences_max, options.context_tokens);
  if (options.cache_type == quant::Type::Q8_0 && options.precision != model::Precision::native)
    fail(ErrorKind::usage, "an 8-bit cache belongs to native precision: --precision native");
  if (options.drafts < EngineOptions::drafts_auto || options.drafts > EngineOptions::drafts_max)
    fail(ErrorKind::usage, "{} drafts are wanted for each step: 0 to {} are possible",
         options.drafts, EngineOptions::drafts_max);
  if (options.drafts > 0 && config.mtp_layers == 0)
    fail(ErrorKind::usage, "the model has no multi-token prediction layer to make drafts with");
  const int64_t trained = config.context_length;
  if (options.context_tokens > trained)
    fail(ErrorKind::limit, "a context of {} tokens is wanted, but the model was trained for {}",
         options.context_tokens, trained);
  const int64_t context = options.context_tokens > 0 ? options.context_tokens : trained;
  const int64_t page_bytes = model::KvCache::page_bytes(config, options.cache_type);
  int64_t pages = 0;
  if (options.cache_tokens > 0) {
    pages = wanted_pages(options.cache_tokens, page_bytes);
  } else {
    pages = std::clamp<int64_t>(memory_bytes("MemAvailable:") / 4 / page_bytes, 1,
                                (options.sequences_max + prefixes_kept) * pages_for(context));
  }
  return {std::min(context, pages * page_tokens), pages};
}

void check_request(const Request& request, const LoadedModel& model, int64_t context) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t vocab = model.model->config.vocab_size;
  if (prompt == 0) fail(ErrorKind::usage, "the prompt is empty: at least one token is needed");
  if (prompt >= context)
    fail(ErrorKind::limit,
         "the prompt has {} tokens, but the context holds {}, the answer included: shorten it{}",
         prompt, context,
         context < model.model->config.context_length ? ", or ask for a larger context" : "");
  if (request.max_tokens == 0) fail(ErrorKind::usage, "max_tokens is 0: nothing is to be done");
  for (const int32_t id : request.prompt)
    if (id < 0 || id >= vocab)
      fail(ErrorKind::usage, "the prompt has token {}, but ids are below {}", id, vocab);
  for (const int32_t id : request.thinking.close)
    if (id < 0 || id >= vocab)
      fail(ErrorKind::usage, "token {} is to close a thought, but ids are below {}", id, vocab);
  if (!request.stop.empty() && !model.tokenizer)
    fail(ErrorKind::usage, "stop strings need a tokenizer, which this model lacks");
  check_stops(request.stop);
  if (request.constraint && request.constraint->vocabulary().size() != vocab)
    fail(ErrorKind::usage, "the constraint was made for another vocabulary");
  validate(request.sampling, vocab);
}

}  // namespace hadal::infer
