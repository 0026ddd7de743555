// Counters and histograms in Prometheus' text form.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "infer/engine.h"
#include "server/http.h"
#include "server/http_server.h"

namespace hadal::server {

// Seconds, in buckets that are a factor of 2 to 2.5 apart.
class Histogram {
 public:
  void observe(double seconds);
  void write(const std::string& name, const std::string& help, std::string& out) const;

 private:
  static constexpr std::array<double, 16> bounds = {
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};
  std::array<int64_t, bounds.size() + 1> counts_ = {};
  double sum_ = 0;
};

class Metrics {
 public:
  void count(const infer::Event& event);  // the engine's thread
  // Network threads. path: a route of the server, "other" for what is none.
  void count(const Exchange& exchange, const std::string& path);
  std::string text(const infer::EngineLoad& load, const HttpLoad& network, bool ready) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;  // by path and status
  int64_t prompt_tokens_ = 0, cached_tokens_ = 0, generated_tokens_ = 0, reasoning_tokens_ = 0;
  int64_t drafted_tokens_ = 0, accepted_tokens_ = 0;
  int64_t preemptions_ = 0, cut_ = 0;
  std::array<int64_t, 4> finished_ = {};  // by infer::FinishReason
  Histogram queue_, prefill_, decode_token_, request_;
};

}  // namespace hadal::server
