// Everything at once for a long time: nothing may grow, nothing may be left over.
#include <array>
#include <map>

#include <fmt/format.h>

#include "scenario.h"

namespace hadal::bench {
namespace {

constexpr size_t clients = 24;
constexpr double patience_s = 120;

struct Kind {
  const char* name;
  int status;  // what it has to get; 0: it leaves before
  CallOptions (*make)(uint64_t random);
};

CallOptions post(const char* path, const Json& body) {
  CallOptions options;
  options.path = path;
  options.body = body.dump();
  return options;
}

Json sum_of(uint64_t random) {
  const std::string text = fmt::format("What is {} + {}?", random % 10, random / 10 % 10);
  return {{"messages", {{{"role", "user"}, {"content", text}}}}};
}

CallOptions whole_answer(uint64_t random) {
  return post("/chat/completions", sum_of(random));
}

CallOptions streamed_answer(uint64_t random) {
  Json body = sum_of(random);
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  return post("/v1/chat/completions", body);
}

CallOptions with_tools(uint64_t random) {
  Json body = sum_of(random);
  body["stream"] = random % 2 == 0;
  body["tools"] = {
      {{"type", "function"},
       {"function",
        {{"name", "add"},
         {"parameters", {{"type", "object"}, {"properties", {{"x", {{"type", "number"}}}}}}}}}}};
  return post("/beta/chat/completions", body);
}

CallOptions anthropic(uint64_t random) {
  Json body = sum_of(random);
  body["model"] = "deepseek-chat";
  body["max_tokens"] = 40;
  body["stream"] = random % 2 == 0;
  return post("/anthropic/v1/messages", body);
}

CallOptions completion(uint64_t random) {
  return post("/v1/completions", {{"prompt", "The cat sat on the"},
                                  {"max_tokens", 8},
                                  {"seed", random},
                                  {"temperature", 1.0},
                                  {"logprobs", 3},
                                  {"n", 1 + random % 3}});
}

CallOptions with_receipt(uint64_t random) {
  Json body = sum_of(random);
  body["x_hadal"] = {{"receipt", "full"}, {"cost", true}};
  return post("/chat/completions", body);
}

CallOptions long_answer(uint64_t random) {
  return story(random, 100 + static_cast<int64_t>(random % 300));
}

CallOptions leaving(uint64_t random) {
  CallOptions options = story(random, -1, 1 + static_cast<int>(random % 4));
  options.leaves_after = static_cast<int64_t>(random % 40);
  return options;
}

CallOptions bad_json(uint64_t random) {
  CallOptions options = whole_answer(random);
  options.body.resize(options.body.size() - 1 - random % (options.body.size() - 1));
  return options;
}

CallOptions bad_field(uint64_t random) {
  Json body = sum_of(random);
  body["temperature"] = "warm";
  return post("/chat/completions", body);
}

CallOptions bad_path(uint64_t random) {
  CallOptions options = whole_answer(random);
  options.path = "/v1/nothing";
  return options;
}

CallOptions tokens(uint64_t random) {
  return post("/tokenize", {{"content", std::string(1 + random % 2000, 'a')}});
}

CallOptions embedding(uint64_t random) {
  return post("/v1/embeddings", {{"input", fmt::format("number {}", random % 100)}});
}

CallOptions models(uint64_t) {
  CallOptions options;
  options.method = "GET";
  options.path = "/v1/models";
  return options;
}

constexpr std::array kinds = {Kind{"whole", 200, whole_answer},
                              Kind{"streamed", 200, streamed_answer},
                              Kind{"tools", 200, with_tools},
                              Kind{"anthropic", 200, anthropic},
                              Kind{"completion", 200, completion},
                              Kind{"receipt", 200, with_receipt},
                              Kind{"long answer", 200, long_answer},
                              Kind{"long prompt", 200, long_prompt},
                              Kind{"leaves", 0, leaving},
                              Kind{"bad json", 400, bad_json},
                              Kind{"bad field", 422, bad_field},
                              Kind{"bad path", 404, bad_path},
                              Kind{"tokens", 200, tokens},
                              Kind{"embedding", 200, embedding},
                              Kind{"models", 200, models}};

struct Running {
  const Kind* kind = nullptr;
  std::shared_ptr<Call> call;
};

// Whether it went as it should: the status, and everything to the end.
bool went_well(const Running& running) {
  const ResponseReader& response = running.call->response();
  if (running.kind->status == 0) return !response.broken();
  const bool anthropic = running.call->last_event().find("message_stop") != std::string::npos;
  return response.status() == running.kind->status && response.whole() &&
         (!response.is_stream() || running.call->last_event() == "[DONE]" || anthropic);
}

struct Sample {
  double s, mib;
  int64_t descriptors;
};

// MiB per second by least squares.
double slope(const std::vector<Sample>& samples) {
  double n = 0, s = 0, m = 0, ss = 0, sm = 0;
  for (const Sample& sample : samples) {
    n += 1;
    s += sample.s;
    m += sample.mib;
    ss += sample.s * sample.s;
    sm += sample.s * sample.mib;
  }
  const double spread = n * ss - s * s;
  return spread > 0 ? (n * sm - s * m) / spread : 0;
}

class Soak {
 public:
  Soak(Server& server, double seconds)
      : server_(server), client_(server.port(), false), seconds_(seconds), running_(clients) {}

  void run() {
    client_.ask(whole_answer(1));
    descriptors_before_ = server_.descriptors();
    const double begin = client_.now();
    for (double next = begin; client_.now() < begin + seconds_; client_.run_for(0.002)) {
      keep_up();
      if (client_.now() < next) continue;
      next += seconds_ / 60;
      samples_.push_back({client_.now() - begin, server_.resident_mib(), server_.descriptors()});
    }
    const bool all = client_.run_until(
        [&] {
          return std::ranges::all_of(running_, [](const auto& r) { return r.call->ended(); });
        },
        patience_s);
    for (const Running& running : running_) judge(running);
    if (!all) failures_["unanswered"] = 1;
    drained_ = client_.metric_becomes("hadal_running", 0, patience_s) &&
               client_.metric_becomes("hadal_connections", 1, patience_s) && server_.alive();
    errors_ = client_.metric("hadal_finished_total{reason=\"error\"}");
    client_.run_for(0.2);
    descriptors_after_ = server_.descriptors();
  }

  Row row(const Setup& setup) const {
    const std::vector<Sample> half(
        samples_.begin() + static_cast<std::ptrdiff_t>(samples_.size() / 2), samples_.end());
    const double grown = slope(half) * (half.back().s - half.front().s);
    std::string wrong;
    for (const auto& [name, count] : failures_) wrong += fmt::format("; {} x {}", count, name);
    Row row;
    row.work =
        fmt::format("soak, {:.0f} s, {} clients of {} kinds", seconds_, clients, kinds.size());
    row.target =
        fmt::format("second half grows by < {:.0f} MiB, all as expected", setup.scale.soak_mib);
    row.measured = fmt::format(
        "{} requests, {} wrong{}; {:+.1f} MiB ({:+.1f} MiB/h), {:.0f} MiB; descriptors {} and {}",
        requests_, wrong_, wrong, grown, slope(half) * 3600, half.back().mib, descriptors_before_,
        descriptors_after_);
    row.passed = wrong_ == 0 && failures_.empty() && drained_ && errors_ == 0 &&
                 descriptors_after_ <= descriptors_before_ &&
                 (setup.instrumented || grown < setup.scale.soak_mib);
    row.values = {{"requests", requests_},
                  {"wrong", wrong_},
                  {"grown_mib", grown},
                  {"mib_per_hour", slope(half) * 3600},
                  {"mib", half.back().mib},
                  {"descriptors_before", descriptors_before_},
                  {"descriptors_after", descriptors_after_},
                  {"drained", drained_}};
    for (const Sample& sample : samples_)
      row.values["samples"].push_back({sample.s, sample.mib, sample.descriptors});
    return row;
  }

 private:
  void keep_up() {
    for (Running& running : running_) {
      if (running.call && !running.call->ended()) continue;
      if (running.call) judge(running);
      random_ = random_ * 6364136223846793005u + 1442695040888963407u;
      running.kind = &kinds[(random_ >> 33) % kinds.size()];
      running.call = client_.start(running.kind->make(random_ >> 40));
      ++requests_;
    }
  }
  void judge(const Running& running) {
    if (went_well(running)) return;
    ++wrong_;
    ++failures_[fmt::format("{} ({})", running.kind->name, running.call->response().status())];
  }

  Server& server_;
  LoadClient client_;
  const double seconds_;
  std::vector<Running> running_;
  std::vector<Sample> samples_;
  uint64_t random_ = 1;
  int64_t requests_ = 0, wrong_ = 0, descriptors_before_ = 0, descriptors_after_ = 0;
  double errors_ = 0;
  bool drained_ = false;
  std::map<std::string, int64_t> failures_;
};

}  // namespace

Row soak(const Setup& setup) {
  Server server(setup.server, {});
  Soak soak(server, setup.scale.soak_s);
  soak.run();
  return soak.row(setup);
}

}  // namespace hadal::bench
