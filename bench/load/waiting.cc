// Clients that wait, clients that do not read, clients that leave.
#include <fmt/format.h>

#include "scenario.h"

namespace hadal::bench {
namespace {

constexpr double patience_s = 60;
constexpr int64_t at_once = 200;  // connections that are being opened

bool all_ended(const std::vector<std::shared_ptr<Call>>& calls) {
  return std::ranges::all_of(calls, [](const auto& call) { return call->ended(); });
}

}  // namespace

// Streams in the queue behind long answers, each of which gets signs of life.
Row idle_streams(const Setup& setup, bool secure) {
  const int64_t count = setup.scale.idle;
  Row row;
  row.work = fmt::format("{} idle streams{}", count, secure ? ", TLS" : "");
  const double limit = secure ? setup.scale.idle_tls_mib : setup.scale.idle_mib;
  row.target = fmt::format("grows by < {:.0f} MiB", limit);
  Server server(setup.server,
                {"--parallel", "1", "--keep-alive", "2", "--queue", std::to_string(count + 100)},
                secure);
  LoadClient client(server.port(), secure);
  std::vector<std::shared_ptr<Call>> busy, idle;
  client.ask(story(0, 16));
  // What a stream reads and writes goes away with these, so they come before the measuring.
  for (uint64_t i = 1; i <= 4; ++i) busy.push_back(client.start(story(i, -1, 16)));
  client.run_until([&] { return busy[0]->events() > 100; }, patience_s);
  const double before = server.resident_mib();
  const double begin = client.now();
  for (int64_t i = 0; i < count; ++i) {
    idle.push_back(client.start(story(static_cast<uint64_t>(i), 16)));
    const size_t opened = idle.size() >= at_once ? idle.size() - at_once : 0;
    client.run_until([&] { return idle[opened]->sent() || idle[opened]->ended(); }, patience_s);
  }
  const double opened_s = client.now() - begin;
  const bool alive = client.run_until(
      [&] {
        return std::ranges::all_of(
            idle, [](const auto& call) { return call->response().comments() >= 2; });
      },
      patience_s);
  const double grown = server.resident_mib() - before;
  const auto waiting = client.metric("hadal_waiting");
  const int64_t streams = std::ranges::count_if(idle, [](const auto& c) { return !c->ended(); });
  const double left_at = client.now();
  for (const auto& call : idle) call->leave();
  for (const auto& call : busy) call->leave();
  const bool empty = client.metric_becomes("hadal_waiting", 0, patience_s);
  const double gone_s = client.now() - left_at;
  row.measured = fmt::format("{:.1f} MiB, {:.1f} KiB each; all gone {:.1f} s after they left",
                             grown, grown * 1024 / static_cast<double>(count), gone_s);
  row.passed = alive && empty && streams == count && waiting >= static_cast<double>(count) &&
               (setup.instrumented || grown < limit);
  row.values = {{"streams", streams},
                {"waiting", waiting},
                {"grown_mib", grown},
                {"opened_s", opened_s},
                {"gone_s", gone_s}};
  return row;
}

namespace {

struct Beside {
  double median_ms = 0, p99_ms = 0;  // between the tokens of those who read
  double cut_s = -1;                 // until the last of the others was cut
  bool whole = true;                 // all who read got everything
};

// Four readers, and beside them others with answers of several MB, who read or do not.
Beside beside(const Setup& setup, int64_t others, bool reading) {
  // All of them run at once: those that wait in the queue are not deaf yet.
  Server server(setup.server, {"--parallel", std::to_string(others + 4), "--step-tokens", "1024",
                               "--write-timeout", fmt::format("{}", setup.scale.write_timeout_s)});
  LoadClient client(server.port(), false);
  std::vector<std::shared_ptr<Call>> readers, rest;
  client.ask(story(0, 16));
  for (uint64_t i = 0; i < 4; ++i) readers.push_back(client.start(story(i)));
  client.run_until([&] { return readers[3]->events() > 50; }, patience_s);
  const double from = client.now();
  for (int64_t i = 0; i < others; ++i) {
    CallOptions options = story(static_cast<uint64_t>(i), 900);
    Json body = Json::parse(options.body);
    body["logprobs"] = true;
    body["top_logprobs"] = 20;  // 3 KB for each token
    options.body = body.dump();
    options.reads = reading;
    if (!reading) options.receive_buffer = 4096;
    rest.push_back(client.start(options));
  }
  Beside result;
  client.run_until([&] { return all_ended(readers); }, patience_s);
  std::vector<double> gaps;
  for (const auto& call : readers) {
    result.whole &= is_whole(*call);
    const std::vector<double> own = gaps_ms(*call, from, client.now());
    gaps.insert(gaps.end(), own.begin(), own.end());
  }
  result.median_ms = quantile(gaps, 0.5);
  result.p99_ms = quantile(gaps, 0.99);
  if (reading || others == 0) return result;
  if (client.metric_becomes("hadal_answers_cut_total", static_cast<double>(others),
                            setup.scale.cut_s + patience_s))
    result.cut_s = client.now() - from;
  result.whole &= client.metric_becomes("hadal_connections", 1, patience_s);
  return result;
}

}  // namespace

// The whole time from the requests on, in which their answers are begun, too.
Row deaf_clients(const Setup& setup) {
  const double limit_s = setup.scale.cut_s;
  Row row;
  row.work = fmt::format("{} clients that never read", setup.scale.deaf);
  row.target = fmt::format("cut in {:.0f} s, others as beside clients that read", limit_s);
  const Beside quiet = beside(setup, 0, true);
  const Beside reading = beside(setup, setup.scale.deaf, true);
  const Beside deaf = beside(setup, setup.scale.deaf, false);
  row.measured = fmt::format(
      "cut in {:.1f} s; a token of others {:.1f} ms (p99 {:.0f}), beside as many that read {:.1f} "
      "({:.0f}), alone {:.1f} ({:.0f})",
      deaf.cut_s, deaf.median_ms, deaf.p99_ms, reading.median_ms, reading.p99_ms, quiet.median_ms,
      quiet.p99_ms);
  // Twice would be far from unaffected; less is within what a busy machine does by itself.
  row.passed =
      deaf.whole && deaf.cut_s >= 0 &&
      (setup.instrumented || (deaf.cut_s < limit_s && deaf.median_ms < 2 * reading.median_ms));
  row.values = {{"cut_s", deaf.cut_s},
                {"deaf_ms", deaf.median_ms},
                {"deaf_p99_ms", deaf.p99_ms},
                {"reading_ms", reading.median_ms},
                {"reading_p99_ms", reading.p99_ms},
                {"quiet_ms", quiet.median_ms},
                {"quiet_p99_ms", quiet.p99_ms}};
  return row;
}

// Tokens that were computed for clients that had left: those of the step under way, and of the time
// until the network sees them go.
Row leavers(const Setup& setup) {
  const int64_t count = setup.scale.leavers;
  Row row;
  row.work = fmt::format("{} clients that leave in the middle", count);
  row.target = "no token more than the step's";
  Server server(setup.server, {});
  LoadClient client(server.port(), false);
  client.ask(story(0, 16));
  const double before = client.metric("hadal_generated_tokens_total");
  std::vector<std::shared_ptr<Call>> calls;
  for (int64_t i = 0; i < count; ++i) {
    CallOptions options = story(static_cast<uint64_t>(i));
    options.leaves_after = 50 + i;  // not all in the same step
    calls.push_back(client.start(options));
  }
  client.run_until([&] { return all_ended(calls); }, patience_s);
  const double left_at = client.now();
  const bool stopped = client.metric_becomes("hadal_running", 0, patience_s);
  const double stopped_s = client.now() - left_at;
  const double cancelled = client.metric("hadal_finished_total{reason=\"cancelled\"}");
  double seen = 0;
  for (const auto& call : calls) seen += static_cast<double>(call->events() - 1);  // role, tokens
  const double wasted = client.metric("hadal_generated_tokens_total") - before - seen;
  const double each = wasted / static_cast<double>(count);
  row.measured = fmt::format("{:.1f} tokens for each after it left; idle {:.0f} ms after the last",
                             each, stopped_s * 1000);
  row.passed =
      stopped && cancelled == static_cast<double>(count) && (setup.instrumented || each < 8);
  row.values = {{"tokens_each", each}, {"idle_after_ms", stopped_s * 1000}};
  return row;
}

}  // namespace hadal::bench
