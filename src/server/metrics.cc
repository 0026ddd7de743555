#include "server/metrics.h"

#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

namespace hadal::server {
namespace {

void put(std::string& out, std::string_view name, std::string_view type, std::string_view help,
         auto value) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n{} {}\n", name, help, name, type, name, value);
}

void put_disk(std::string& out, const infer::DiskCacheStats& disk) {
  if (disk.bytes_max == 0) return;
  put(out, "hadal_cache_disk_bytes", "gauge", "Of pages on disk.", disk.bytes);
  put(out, "hadal_cache_disk_limit_bytes", "gauge", "What they may fill.", disk.bytes_max);
  put(out, "hadal_cache_disk_pages", "gauge", "Pages on disk.", disk.pages);
  put(out, "hadal_cache_disk_hits_total", "counter", "Pages that were read.", disk.hits);
  put(out, "hadal_cache_disk_misses_total", "counter", "Pages that had to be computed.",
      disk.misses);
  put(out, "hadal_cache_disk_writes_total", "counter", "Pages that were written.", disk.writes);
  put(out, "hadal_cache_disk_evicted_total", "counter", "Removed because of the limit.",
      disk.evicted);
  put(out, "hadal_cache_disk_discarded_total", "counter", "Removed because they were broken.",
      disk.discarded);
  put(out, "hadal_cache_disk_dropped_total", "counter",
      "Not written: the disk was full or too slow.", disk.dropped);
}

int64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  int64_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

void Histogram::observe(double seconds) {
  size_t bucket = 0;
  while (bucket < bounds.size() && seconds > bounds[bucket]) ++bucket;
  ++counts_[bucket];
  sum_ += seconds;
}

void Histogram::write(const std::string& name, const std::string& help, std::string& out) const {
  out += fmt::format("# HELP {} {}\n# TYPE {} histogram\n", name, help, name);
  int64_t total = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    total += counts_[i];
    out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bounds[i], total);
  }
  total += counts_.back();
  out += fmt::format("{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, total, name,
                     sum_, name, total);
}

void Metrics::count(const infer::Event& event) {
  if (event.kind != infer::Event::Kind::finish) return;
  const infer::RequestStats& stats = event.stats;
  const std::lock_guard lock(mutex_);
  ++finished_[static_cast<size_t>(event.reason)];
  prompt_tokens_ += stats.prompt_tokens;
  cached_tokens_ += stats.cached_tokens;
  generated_tokens_ += stats.generated_tokens;
  reasoning_tokens_ += stats.reasoning_tokens;
  drafted_tokens_ += stats.drafted_tokens;
  accepted_tokens_ += stats.accepted_tokens;
  preemptions_ += stats.preemptions;
  queue_.observe(stats.queue_ms / 1000);
  if (stats.generated_tokens > 0) prefill_.observe(stats.prefill_ms / 1000);
  if (stats.generated_tokens > 1)
    decode_token_.observe(stats.decode_ms / 1000 / static_cast<double>(stats.generated_tokens - 1));
}

void Metrics::count(const Exchange& exchange, const std::string& path) {
  const std::lock_guard lock(mutex_);
  ++requests_[{path, exchange.status}];
  if (exchange.cut) ++cut_;
  request_.observe(exchange.ms / 1000);
}

std::string Metrics::text(const infer::EngineLoad& load, const HttpLoad& network,
                          bool ready) const {
  const std::lock_guard lock(mutex_);
  std::string out;
  out +=
      "# HELP hadal_http_requests_total Requests by path and status.\n"
      "# TYPE hadal_http_requests_total counter\n";
  for (const auto& [key, count] : requests_)
    out += fmt::format("hadal_http_requests_total{{path=\"{}\",status=\"{}\"}} {}\n", key.first,
                       key.second, count);
  out +=
      "# HELP hadal_finished_total Answers by the reason they ended.\n"
      "# TYPE hadal_finished_total counter\n";
  constexpr std::array<const char*, 4> reasons = {"stop", "length", "cancelled", "error"};
  for (size_t i = 0; i < reasons.size(); ++i)
    out += fmt::format("hadal_finished_total{{reason=\"{}\"}} {}\n", reasons[i], finished_[i]);
  put(out, "hadal_ready", "gauge", "Whether the model is loaded.", ready ? 1 : 0);
  put(out, "hadal_running", "gauge", "Sequences in the batch.", load.running);
  put(out, "hadal_waiting", "gauge", "Sequences in the queue.", load.waiting);
  put(out, "hadal_cache_pages", "gauge", "Pages of the attention cache.", load.pages);
  put(out, "hadal_cache_pages_free", "gauge", "Pages that hold nothing.", load.pages_free);
  put(out, "hadal_cache_pages_kept", "gauge", "Pages of prefixes that nobody uses now.",
      load.pages_kept);
  put(out, "hadal_cache_page_bytes", "gauge", "Bytes of a page.", load.page_bytes);
  put_disk(out, load.disk);
  put(out, "hadal_prompt_tokens_total", "counter", "Tokens of prompts.", prompt_tokens_);
  put(out, "hadal_cached_tokens_total", "counter", "Of them, taken from the prefix cache.",
      cached_tokens_);
  put(out, "hadal_generated_tokens_total", "counter", "Tokens of answers.", generated_tokens_);
  put(out, "hadal_reasoning_tokens_total", "counter", "Of them, reasoning.", reasoning_tokens_);
  put(out, "hadal_drafted_tokens_total", "counter", "Guessed by the MTP layer and verified.",
      drafted_tokens_);
  put(out, "hadal_accepted_tokens_total", "counter", "Of them, right.", accepted_tokens_);
  put(out, "hadal_preemptions_total", "counter", "Sequences that lost their pages for a while.",
      preemptions_);
  put(out, "hadal_connections", "gauge", "Open connections.", network.connections);
  put(out, "hadal_connections_accepted_total", "counter", "Connections accepted.",
      network.accepted);
  put(out, "hadal_connections_refused_total", "counter", "Connections over a limit.",
      network.refused);
  put(out, "hadal_connections_timed_out_total", "counter", "Connections over a deadline.",
      network.timed_out);
  put(out, "hadal_answers_cut_total", "counter", "Answers whose client left or did not read.",
      cut_);
  put(out, "hadal_resident_bytes", "gauge", "Resident memory, mapped files included.",
      resident_bytes());
  queue_.write("hadal_queue_seconds", "From a request to its first step.", out);
  prefill_.write("hadal_prefill_seconds", "From the first step to the first token.", out);
  decode_token_.write("hadal_decode_token_seconds", "Per token of an answer, on average.", out);
  request_.write("hadal_request_seconds", "Whole requests.", out);
  return out;
}

}  // namespace hadal::server
