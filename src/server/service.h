// The application behind the network: routes, checks, and the endpoints.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "server/access.h"
#include "server/bind.h"
#include "server/cost.h"
#include "server/engine_host.h"
#include "server/http.h"
#include "server/http_server.h"
#include "server/metrics.h"
#include "server/routes.h"
#include "server/workers.h"
#include "server/writer.h"

namespace hadal::server {

struct ServiceOptions {
  ModelOptions model;
  AccessOptions access;
  HostPolicy hosts;
  Prices prices;
  int64_t generations_max = 1000;  // requests that run or wait; more get 429
  double keep_alive_s = 10;
  size_t unread_bytes_max = 256 << 10;  // of one generation, waiting for its client
  bool usage_chunk = false;             // OpenAI's: usage in a chunk of its own, when asked for
  int workers = 2;
  std::string access_log = "-";  // "-": stderr, "": none
};

class Service : public Handler {
 public:
  // failed: called if the model cannot be opened or computing breaks down.
  Service(const ServiceOptions& options, std::function<void()> failed);
  ~Service() override;

  // Starts loading the model. load: the network's counters, for /metrics.
  void start(std::function<HttpLoad()> load);
  // Ends all threads but the log's: nothing wakes a connection any more, nor is `failed` called.
  void stop() {
    host_.stop();
    workers_.stop();
    large_worker_.stop();
  }
  EngineHost::Status status() const { return host_.status(); }
  bool has_keys() const { return access_.has_keys(); }

  std::optional<HttpResponse> open(HttpRequest& request) override;
  std::shared_ptr<Answer> handle(HttpRequest request) override;
  HttpResponse refuse(int status, const std::string& message) override;
  Headers common_headers(const HttpRequest* request) override;
  void finished(const Exchange& exchange) override;
  void drain() override { draining_ = true; }
  void end_all() override { host_.cancel_all(); }

 private:
  using Json = nlohmann::ordered_json;
  static constexpr size_t spellings_bytes_max = size_t{16} << 20;

  void check_origin(const HttpRequest& request) const;
  void check_body_kind(const HttpRequest& request) const;
  // Checked and queued; anything wrong is thrown as ApiError.
  std::shared_ptr<Answer> answer(const Route& route, const HttpRequest& request);
  std::shared_ptr<Answer> answer_safely(const Route& route, const HttpRequest& request);
  const ServedModel& require_model() const;

  HttpResponse ready() const;
  HttpResponse models() const;
  HttpResponse model(const std::string& path) const;
  HttpResponse balance(const Caller& caller) const;
  std::shared_ptr<Answer> chat(const HttpRequest& request, const Json& body, ApiShape shape);
  std::shared_ptr<Answer> completions(const HttpRequest& request, const Json& body);
  std::shared_ptr<Answer> embeddings(const HttpRequest& request, const Json& body);
  std::shared_ptr<Answer> generate(
      const HttpRequest& request, const CommonRequest& common, Bound bound, WriterHead head,
      std::function<std::unique_ptr<Writer>(const WriterHead&, const Account&)> make_writer);
  Binding binding_for(const HttpRequest& request, const CommonRequest& common);
  WriterHead head_for(const CommonRequest& common, const char* prefix) const;

  const ServiceOptions options_;
  Metrics metrics_;
  Spellings spellings_{spellings_bytes_max};
  Access access_;
  LineLog log_;
  std::function<HttpLoad()> network_;
  std::atomic<bool> draining_ = false;
  std::atomic<int64_t> generations_ = 0;
  EngineHost host_;
  // End first: their tasks use the rest. Large bodies take seconds, for which others need not wait.
  Workers workers_, large_worker_;
};

}  // namespace hadal::server
