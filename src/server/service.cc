#include "server/service.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "server/api_error.h"
#include "server/generation_answer.h"
#include "server/json_fields.h"
#include "server/openapi.h"
#include "server/plain_endpoints.h"
#include "server/receipt.h"
#include "server/text.h"

namespace hadal::server {
namespace {

constexpr size_t tasks_max = 20'000;
constexpr size_t large_body_bytes = 1 << 20;  // some 0.2 s of reading and encoding
constexpr int retry_loading_s = 5, retry_queue_s = 2;

// An answer that a worker is still making.
class DeferredAnswer : public Answer {
 public:
  void start(std::weak_ptr<Waker> waker) override {
    const std::lock_guard lock(mutex_);
    waker_ = std::move(waker);
    started_ = true;
    if (inner_) inner_->start(waker_);
  }
  void set(std::shared_ptr<Answer> inner) {
    std::shared_ptr<Waker> waker;
    {
      const std::lock_guard lock(mutex_);
      inner_ = std::move(inner);
      if (abandoned_) return inner_->abandon();
      if (started_) inner_->start(waker_);
      waker = waker_.lock();
    }
    if (waker) waker->wake();
  }
  Part take(Clock::time_point now) override {
    const std::lock_guard lock(mutex_);
    return inner_ ? inner_->take(now) : Part{};
  }
  void abandon() override {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    if (inner_) inner_->abandon();
  }
  AnswerLog log() const override {
    const std::lock_guard lock(mutex_);
    return inner_ ? inner_->log() : AnswerLog{};
  }
  bool abandoned() const {
    const std::lock_guard lock(mutex_);
    return abandoned_;
  }

 private:
  mutable std::mutex mutex_;
  std::weak_ptr<Waker> waker_;
  std::shared_ptr<Answer> inner_;
  bool started_ = false, abandoned_ = false;
};

HttpResponse json_response(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

std::shared_ptr<Answer> ready_answer(HttpResponse response) {
  return std::make_shared<ReadyAnswer>(std::move(response));
}

ApiError retry_later(int status, const std::string& message, int seconds) {
  ApiError error(status, message);
  error.retry_after_s = seconds;
  return error;
}

// Engine::submit's refusals, which the checks before it leave few of.
ApiError from_engine(const Error& error) {
  if (error.kind() == ErrorKind::usage) return ApiError(422, error.what());
  if (error.kind() == ErrorKind::limit) {
    const std::string message = error.what();
    if (message.find("wait already") != std::string::npos)
      return retry_later(429, message, retry_queue_s);
    return ApiError(400, message, "", "context_length_exceeded");
  }
  return ApiError(500, error.what());
}

// Counts a generation as long as it lives.
class Place {
 public:
  explicit Place(std::atomic<int64_t>& count) : count_(count) { ++count_; }
  ~Place() { --count_; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  std::atomic<int64_t>& count_;
};

}  // namespace

Service::Service(const ServiceOptions& options, std::function<void()> failed)
    : options_(options),
      access_(options.access),
      log_(options.access_log),
      host_(options.model, metrics_, std::move(failed)),
      workers_(options.workers, tasks_max, [this] { access_.refresh(); }),
      large_worker_(1, tasks_max, [] {}) {}

Service::~Service() = default;

void Service::start(std::function<HttpLoad()> load) {
  network_ = std::move(load);
  host_.start();
}

const ServedModel& Service::require_model() const {
  const ServedModel* model = host_.model();
  if (model != nullptr) return *model;
  const EngineHost::Status status = host_.status();
  throw retry_later(503, "the model is being loaded: " + status.stage, retry_loading_s);
}

HttpResponse Service::refuse(int status, const std::string& message) {
  return error_response(ApiError(status, message), ApiShape::openai);
}

Headers Service::common_headers(const HttpRequest* request) {
  Headers headers = {{"server", "hadal"}, {"x-content-type-options", "nosniff"}};
  if (request == nullptr) {
    headers.emplace_back("x-request-id", "req_" + random_hex(12));
    return headers;
  }
  headers.emplace_back("x-request-id", request->id);
  const std::string* origin = request->header("origin");
  const auto& origins = options_.hosts.origins;
  if (origin != nullptr && std::find(origins.begin(), origins.end(), *origin) != origins.end()) {
    headers.emplace_back("access-control-allow-origin", *origin);
    headers.emplace_back("access-control-expose-headers",
                         "x-request-id, retry-after, x-hadal-warning");
    headers.emplace_back("vary", "origin");
  }
  return headers;
}

void Service::check_origin(const HttpRequest& request) const {
  const std::string* host = request.header("host");
  if (host != nullptr && !host_allowed(options_.hosts, *host))
    throw ApiError(403,
                   "this server is not known by the name in the Host header; if that name is "
                   "meant, start it with --allowed-host");
  const std::string* origin = request.header("origin");
  if (origin != nullptr) {
    if (!origin_allowed(options_.hosts, *origin, host != nullptr ? *host : "", request.secure))
      throw ApiError(403, "pages of this origin may not use the server; --cors-origin allows one");
  } else if (const std::string* site = request.header("sec-fetch-site");
             site != nullptr && *site == "cross-site" && request.method != "GET") {
    throw ApiError(403, "pages of other sites may not use the server");
  }
}

void Service::check_body_kind(const HttpRequest& request) const {
  const std::string* type = request.header("content-type");
  // A form, which any page may send, must not pass for JSON.
  const bool json = type != nullptr && (type->starts_with("application/json") ||
                                        type->starts_with("application/vnd.api+json"));
  if (!json) throw ApiError(415, "the body has to be content-type: application/json");
  if (request.header("content-encoding") != nullptr)
    throw ApiError(415, "compressed bodies are not understood");
}

std::optional<HttpResponse> Service::open(HttpRequest& request) {
  request.id = "req_" + random_hex(12);
  ApiShape shape = ApiShape::openai;
  try {
    check_origin(request);
    if (request.method == "OPTIONS") {
      const std::string* wanted = request.header("access-control-request-headers");
      HttpResponse response;
      response.status = 204;
      response.content_type = "";
      response.headers = {
          {"access-control-allow-methods", "GET, POST"},
          // Clients tell of themselves in headers of their own: only the origin matters.
          {"access-control-allow-headers", wanted != nullptr ? *wanted : "authorization"},
          {"access-control-max-age", "600"}};
      return response;
    }
    const Found found = find_route(request.method, request.path);
    if (found.allowed.empty()) throw ApiError(404, "there is nothing at " + request.path);
    if (found.route == nullptr) {
      HttpResponse response = error_response(
          ApiError(405, fmt::format("{} takes {}", request.path, found.allowed)), shape);
      response.headers.emplace_back("allow", found.allowed);
      return response;
    }
    shape = found.route->shape;
    if (!found.route->open) request.caller = access_.authenticate(request);
    if (found.route->method == "POST") {
      check_body_kind(request);
      if (draining_) throw retry_later(503, "the server is shutting down", retry_loading_s);
    }
    return std::nullopt;
  } catch (const ApiError& error) {
    return error_response(error, shape);
  }
}

std::shared_ptr<Answer> Service::handle(HttpRequest request) {
  const Route& route = *find_route(request.method, request.path).route;
  if (route.method == "GET") return answer_safely(route, request);
  auto deferred = std::make_shared<DeferredAnswer>();
  auto shared = std::make_shared<HttpRequest>(std::move(request));
  Workers& workers = shared->body.size() > large_body_bytes ? large_worker_ : workers_;
  const bool taken = workers.add([this, &route, deferred, shared] {
    if (!deferred->abandoned()) deferred->set(answer_safely(route, *shared));
    shared->body = {};
  });
  if (!taken)
    return ready_answer(error_response(
        retry_later(503, "too many requests are being read", retry_queue_s), route.shape));
  return deferred;
}

std::shared_ptr<Answer> Service::answer_safely(const Route& route, const HttpRequest& request) {
  try {
    return answer(route, request);
  } catch (const ApiError& error) {
    return ready_answer(error_response(error, route.shape));
  } catch (const std::exception& error) {
    return ready_answer(error_response(
        ApiError(500, fmt::format("{} (request {})", error.what(), request.id)), route.shape));
  }
}

std::shared_ptr<Answer> Service::answer(const Route& route, const HttpRequest& request) {
  switch (route.endpoint) {
    case Endpoint::livez:
      return ready_answer(json_response(R"({"status":"alive"})"));
    case Endpoint::readyz:
      return ready_answer(ready());
    case Endpoint::metrics: {
      HttpResponse response = json_response(metrics_.text(
          host_.load(), network_ ? network_() : HttpLoad{}, host_.model() != nullptr));
      response.content_type = "text/plain; version=0.0.4; charset=utf-8";
      return ready_answer(std::move(response));
    }
    case Endpoint::openapi:
      return ready_answer(json_response(openapi_document()));
    case Endpoint::models:
      return ready_answer(models());
    case Endpoint::model:
      return ready_answer(model(request.path));
    case Endpoint::balance:
      return ready_answer(balance(*request.caller));
    default:
      break;
  }
  const Json body = parse_body(request.body);
  const ServedModel& model = require_model();
  switch (route.endpoint) {
    case Endpoint::chat:
    case Endpoint::messages:
      return chat(request, body, route.shape);
    case Endpoint::completions:
      return completions(request, body);
    case Endpoint::embeddings:
      return embeddings(request, body);
    case Endpoint::count_tokens:
      return ready_answer(json_response(count_tokens(model, body)));
    case Endpoint::tokenize:
      return ready_answer(json_response(tokenize(model, body)));
    case Endpoint::detokenize:
      return ready_answer(json_response(detokenize(model, body)));
    default:
      return ready_answer(json_response(apply_template(model, body)));
  }
}

HttpResponse Service::ready() const {
  const EngineHost::Status status = host_.status();
  const bool ready = status.state == EngineHost::State::ready && !draining_;
  HttpResponse response = json_response(
      draining_ ? R"({"status":"draining"})"
                : fmt::format(R"({{"status":{},"bytes_done":{},"bytes":{}{}}})",
                              json_text(status.stage), status.bytes_done, status.bytes,
                              status.error.empty() ? "" : ",\"error\":" + json_text(status.error)));
  response.status = ready ? 200 : 503;
  if (!ready) response.headers.emplace_back("retry-after", std::to_string(retry_loading_s));
  return response;
}

HttpResponse Service::models() const {
  const ServedModel& model = require_model();
  std::string list;
  for (const std::string& name : model_names(model))
    list += (list.empty() ? "" : ",") + model_json(model, name);
  return json_response(R"({"object":"list","data":[)" + list + "]}");
}

HttpResponse Service::model(const std::string& path) const {
  const ServedModel& model = require_model();
  const std::string name = path.substr(path.find("/models/") + 8);
  if (!resolve_name(model, name).known)
    throw ApiError(404, fmt::format("the model '{}' is not served here", name), "model",
                   "model_not_found");
  return json_response(model_json(model, name));
}

HttpResponse Service::balance(const Caller& caller) const {
  const int64_t left = access_.tokens_left(caller);
  return json_response(
      fmt::format(R"({{"is_available":{},"balance_infos":[{{"currency":"{}","total_balance":"{}",)"
                  R"("granted_balance":"{}","topped_up_balance":"0"}}]}})",
                  left != 0, left < 0 ? "USD" : "TOKENS", std::max<int64_t>(left, 0),
                  std::max<int64_t>(left, 0)));
}

Binding Service::binding_for(const HttpRequest& request, const CommonRequest& common) {
  Binding binding;
  binding.owner = cache_owner(*request.caller, common.user_id);
  binding.context_max = request.caller->limits.context_tokens;
  // A receipt's prompt has to follow from the request alone, unless it is in the receipt.
  if (common.extras.receipt != Extras::Receipt::hashes) binding.spellings = &spellings_;
  return binding;
}

WriterHead Service::head_for(const CommonRequest& common, const char* prefix) const {
  const ServedModel& model = require_model();
  WriterHead head;
  head.id = prefix + random_hex(12);
  head.model = common.model.empty() ? model.id : common.model;
  head.fingerprint = model.fingerprint;
  head.created = std::chrono::duration_cast<std::chrono::seconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count();
  head.logprobs = common.logprobs >= 0;
  head.usage_chunk = options_.usage_chunk && common.include_usage;
  head.tokenizer = &*model.loaded.tokenizer;
  head.generation = model.generation.value_or(tokenizer::Generation::v3);
  return head;
}

std::shared_ptr<Answer> Service::chat(const HttpRequest& request, const Json& body,
                                      ApiShape shape) {
  const ServedModel& model = require_model();
  const bool anthropic = shape == ApiShape::anthropic;
  const ChatRequest chat = anthropic ? read_anthropic_request(body) : read_chat_request(body);
  Bound bound = bind_chat(model, chat, binding_for(request, chat));
  WriterHead head = head_for(chat, anthropic ? "msg_" : "chatcmpl-");
  head.thinking = bound.thinking;
  head.starts_thinking = bound.starts_thinking;
  const auto make = anthropic ? (chat.stream ? anthropic_stream_writer : anthropic_whole_writer)
                              : (chat.stream ? chat_stream_writer : chat_whole_writer);
  return generate(request, chat, std::move(bound), std::move(head), make);
}

std::shared_ptr<Answer> Service::completions(const HttpRequest& request, const Json& body) {
  const ServedModel& model = require_model();
  const CompletionRequest completion = read_completion_request(body);
  Bound bound = bind_completion(model, completion, binding_for(request, completion));
  const std::string echo = completion.echo ? completion.prompt : "";
  const bool stream = completion.stream;
  return generate(request, completion, std::move(bound), head_for(completion, "cmpl-"),
                  [echo, stream](const WriterHead& head, const Account& account) {
                    return stream ? completion_stream_writer(head, account, echo)
                                  : completion_whole_writer(head, account, echo);
                  });
}

std::shared_ptr<Answer> Service::generate(
    const HttpRequest& request, const CommonRequest& common, Bound bound, WriterHead head,
    std::function<std::unique_ptr<Writer>(const WriterHead&, const Account&)> make_writer) {
  const ServedModel& model = require_model();
  if (generations_ >= options_.generations_max)
    throw retry_later(429, fmt::format("{} requests run or wait already", generations_.load()),
                      retry_queue_s);
  const auto place = std::make_shared<Place>(generations_);
  GenerationSetup setup;
  setup.host = &host_;
  setup.generation =
      std::make_shared<Generation>(bound.choices.size(), options_.unread_bytes_max, common.stream);
  setup.choices = bound.choices.size();
  setup.prompt_tokens = static_cast<int64_t>(bound.choices.front().prompt.size());
  setup.ticket = access_.admit(*request.caller);
  setup.keep_alive_s = options_.keep_alive_s;
  setup.streams = common.stream;
  setup.shape = find_route(request.method, request.path).route->shape;
  setup.model = head.model;
  setup.warning = bound.warning;
  setup.make_writer = [head = std::move(head), make_writer, place](const Account& account) {
    return make_writer(head, account);
  };
  const Extras extras = common.extras;
  if (extras.cost || extras.receipt != Extras::Receipt::none) {
    const auto first = extras.receipt != Extras::Receipt::none
                           ? std::make_shared<const infer::Request>(bound.choices.front())
                           : nullptr;
    setup.extras = [this, extras, first, &model](const GenerationSetup::Record& record) {
      std::string out;
      if (first)
        out = "\"receipt\":" + receipt_json(model, *first, record.account, record.tokens,
                                            extras.receipt == Extras::Receipt::full);
      if (extras.cost)
        out += (out.empty() ? "" : ",") +
               ("\"cost\":" + cost_json(options_.prices, record.account, record.cpu_s));
      return "{" + out + "}";
    };
  }
  const uint64_t owner = bound.choices.front().owner;
  setup.learn = [this, owner, &model](std::vector<std::vector<int32_t>> answers) {
    workers_.add([this, owner, &model, answers = std::move(answers)] {
      for (const auto& ids : answers) spellings_.learn(*model.loaded.tokenizer, owner, ids);
    });
  };
  try {
    host_.submit(setup.generation, std::move(bound.choices));
  } catch (const Error& error) {
    throw from_engine(error);
  }
  return std::make_shared<GenerationAnswer>(std::move(setup));
}

std::shared_ptr<Answer> Service::embeddings(const HttpRequest& request, const Json& body) {
  const ServedModel& model = require_model();
  EmbeddingRequest wanted = read_embedding_request(model, body);
  auto ticket = access_.admit(*request.caller);
  ticket->use(wanted.tokens);
  auto deferred = std::make_shared<DeferredAnswer>();
  auto embedder = std::make_shared<std::unique_ptr<Embedder>>();
  auto shared = std::make_shared<EmbeddingRequest>(std::move(wanted));
  host_.run_job([&model, deferred, ticket, embedder, shared] {
    try {
      if (deferred->abandoned()) return true;
      if (!*embedder) *embedder = std::make_unique<Embedder>(model, shared->texts);
      if (!(*embedder)->step()) return false;
      deferred->set(
          ready_answer(json_response(embedding_json(model, *shared, (*embedder)->vectors()))));
    } catch (const std::exception& error) {
      deferred->set(ready_answer(error_response(ApiError(500, error.what()), ApiShape::openai)));
    }
    return true;
  });
  return deferred;
}

void Service::finished(const Exchange& exchange) {
  const Found found = find_route(exchange.method, exchange.path);
  metrics_.count(exchange, found.route != nullptr ? std::string(found.route->path) : "other");
  const AnswerLog& answer = exchange.answer;
  std::string line =
      fmt::format(R"({{"time":{},"id":"{}","peer":{},"key":{},"method":{},"path":{},"status":{},)"
                  R"("bytes_in":{},"bytes_out":{},"ms":{:.1f})",
                  std::chrono::duration_cast<std::chrono::milliseconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count(),
                  exchange.id, json_text(exchange.peer), json_text(exchange.key),
                  json_text(exchange.method), json_text(exchange.path.substr(0, 200)),
                  exchange.status, exchange.bytes_in, exchange.bytes_out, exchange.ms);
  if (exchange.cut) line += ",\"cut\":true";
  if (answer.prompt_tokens > 0) {
    line += fmt::format(
        R"(,"model":{},"prompt_tokens":{},"cached_tokens":{},"completion_tokens":{},)"
        R"("queue_ms":{:.1f},"first_token_ms":{:.1f},"finish":{})",
        json_text(answer.model), answer.prompt_tokens, answer.cached_tokens,
        answer.completion_tokens, answer.queue_ms, answer.first_token_ms, json_text(answer.finish));
  }
  if (!answer.error.empty()) line += ",\"error\":" + json_text(answer.error);
  log_.add(line + "}");
}

}  // namespace hadal::server
