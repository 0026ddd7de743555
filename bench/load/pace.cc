// How fast answers come: many at once, beside long prompts, and whether the server lives meanwhile.
#include <fmt/format.h>

#include "scenario.h"

namespace hadal::bench {
namespace {

constexpr double patience_s = 300;

// Tokens per second of so many streams, from the first token to the last.
double rate_of(LoadClient& client, int64_t streams, int64_t tokens_each, bool& whole) {
  std::vector<std::shared_ptr<Call>> calls;
  for (int64_t i = 0; i < streams; ++i)
    calls.push_back(client.start(story(static_cast<uint64_t>(i), tokens_each)));
  whole &= client.run_until(
      [&] { return std::ranges::all_of(calls, [](const auto& call) { return call->ended(); }); },
      patience_s);
  double begin = 1e18, end = 0, tokens = 0;
  for (const auto& call : calls) {
    whole &= is_whole(*call);
    if (call->events() == 0) continue;
    begin = std::min(begin, call->event_s().front());
    end = std::max(end, call->end_s());
    tokens += static_cast<double>(completion_tokens(*call));
  }
  return tokens > 0 ? tokens / (end - begin) : 0;
}

// Keeps long prompts of others coming for as long as it is asked to.
class Prompts {
 public:
  explicit Prompts(LoadClient& client) : client_(client), running_(2) {}
  // To be called again and again.
  void keep_up() {
    for (auto& call : running_) {
      if (call && !call->ended()) continue;
      if (call) count(*call);
      call = client_.start(long_prompt(++seed_));
    }
  }
  // Waits for those that run; they count too: a short measurement may end before the first of them.
  void finish() {
    broken_ |= !client_.run_until(
        [&] {
          return std::ranges::all_of(running_, [](const auto& c) { return !c || c->ended(); });
        },
        patience_s);
    for (const auto& call : running_)
      if (call) count(*call);
    running_.clear();
  }
  int64_t done() const { return done_; }
  int64_t tokens() const { return tokens_; }  // of a prompt
  bool broken() const { return broken_; }

 private:
  void count(const Call& call) {
    broken_ |= !is_whole(call);
    tokens_ =
        Json::parse(call.before_last(), nullptr, false)["usage"].value("prompt_tokens", int64_t{0});
    ++done_;
  }

  LoadClient& client_;
  std::vector<std::shared_ptr<Call>> running_;
  uint64_t seed_ = 0;
  int64_t done_ = 0, tokens_ = 0;
  bool broken_ = false;
};

}  // namespace

Row together(const Setup& setup) {
  const int64_t streams = setup.scale.streams;
  Row row;
  row.work = fmt::format("{} streams at once", streams);
  row.target = fmt::format(">= {:.1f} times one stream", setup.scale.together);
  Server server(setup.server, {"--parallel", std::to_string(streams)});
  LoadClient client(server.port(), false);
  bool whole = true;
  rate_of(client, 1, setup.scale.tokens, whole);
  std::vector<double> alone, all;
  for (int i = 0; i < setup.scale.repeats; ++i) {  // in turn: a machine's speed changes
    alone.push_back(rate_of(client, 1, setup.scale.tokens, whole));
    all.push_back(rate_of(client, streams, setup.scale.tokens, whole));
  }
  const double one = quantile(alone, 0.5), many = quantile(all, 0.5);
  row.measured = fmt::format("{:.0f} tokens/s, one {:.0f}: {:.2f} times", many, one, many / one);
  row.passed = whole && (setup.instrumented || many >= setup.scale.together * one);
  row.values = {{"one", alone}, {"many", all}, {"ratio", many / one}};
  return row;
}

Row stall(const Setup& setup) {
  Row row;
  row.work = "a token beside others' long prompts";
  row.target = fmt::format("<= {:.1f} times the quiet one", setup.scale.stall);
  Server server(setup.server, {});
  LoadClient client(server.port(), false);
  bool whole = true;
  Prompts prompts(client);
  std::vector<double> quiet, beside;
  client.ask(story(0, setup.scale.tokens));
  const auto take = [&](std::vector<double>& gaps, bool with_prompts) {
    const auto call = client.start(story(1, setup.scale.tokens));
    whole &= client.run_until(
        [&] {
          if (with_prompts) prompts.keep_up();
          return call->ended();
        },
        patience_s);
    whole &= is_whole(*call);
    const std::vector<double> own = gaps_ms(*call, 0, client.now());
    gaps.insert(gaps.end(), own.begin(), own.end());
  };
  for (int i = 0; i < setup.scale.repeats; ++i) {
    take(quiet, false);
    prompts.keep_up();
    take(beside, true);
    client.run_until([&] { return false; }, 0.2);  // what is left of the prompts
  }
  prompts.finish();
  const double one = quantile(quiet, 0.5), other = quantile(beside, 0.5);
  row.measured = fmt::format(
      "median {:.2f} ms, quiet {:.2f}: {:.1f} times (p99 {:.1f} and {:.1f} ms); {} prompts of {}",
      other, one, other / one, quantile(beside, 0.99), quantile(quiet, 0.99), prompts.done(),
      prompts.tokens());
  row.passed = whole && !prompts.broken() && prompts.done() > 0 &&
               (setup.instrumented || other <= setup.scale.stall * one);
  row.values = {{"quiet_ms", one},
                {"beside_ms", other},
                {"ratio", other / one},
                {"quiet_p99_ms", quantile(quiet, 0.99)},
                {"beside_p99_ms", quantile(beside, 0.99)},
                {"prompts", prompts.done()},
                {"prompt_tokens", prompts.tokens()}};
  return row;
}

Row livez(const Setup& setup) {
  Row row;
  row.work = "/livez while prompts are read on every core";
  row.target = fmt::format("p99 < {:.0f} ms", setup.scale.livez_ms);
  Server server(setup.server, {});
  LoadClient client(server.port(), false);
  client.ask(story(0, 16));
  Prompts prompts(client);
  std::vector<double> ms;
  std::shared_ptr<Call> call;
  bool answered = true;
  CallOptions question;
  question.method = "GET";
  question.path = "/livez";
  const double cpu_before = server.cpu_s(), begin = client.now(),
               end = begin + setup.scale.prefill_s;
  while (client.now() < end) {
    prompts.keep_up();
    call = client.start(question);
    answered &= client.run_until([&] { return call->ended(); }, patience_s) &&
                call->response().status() == 200;
    ms.push_back((call->end_s() - call->begin_s()) * 1000);
    client.run_for(0.004);
  }
  const double cores = (server.cpu_s() - cpu_before) / (client.now() - begin);
  prompts.finish();
  const double p99 = quantile(ms, 0.99);
  row.measured = fmt::format("p50 {:.1f}, p99 {:.1f}, max {:.1f} ms of {}; {:.1f} cores busy",
                             quantile(ms, 0.5), p99, quantile(ms, 1), ms.size(), cores);
  row.passed = answered && !prompts.broken() && prompts.done() > 0 &&
               (setup.instrumented || p99 < setup.scale.livez_ms);
  row.values = {{"p50_ms", quantile(ms, 0.5)}, {"p99_ms", p99},  {"max_ms", quantile(ms, 1)},
                {"asked", ms.size()},          {"cores", cores}, {"prompts", prompts.done()}};
  return row;
}

}  // namespace hadal::bench
