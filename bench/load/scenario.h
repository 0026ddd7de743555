// What is measured: each function starts a server of its own and returns a row of the table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "client.h"
#include "server.h"

namespace hadal::bench {

using Json = nlohmann::ordered_json;

struct Scale {
  int64_t idle = 5000, deaf = 200, streams = 32, leavers = 16;
  int repeats = 5;
  double prefill_s = 10;  // how long others' prompts are read
  double soak_s = 60;
  double write_timeout_s = 20;  // of the server
  int64_t tokens = -1;          // of an answer whose speed counts; -1: until the context is full
  // Limits. A small number of streams may take more for each: buffers that all of them share.
  double idle_mib = 60, idle_tls_mib = 450, soak_mib = 16;
  double together = 4, stall = 3, livez_ms = 50, cut_s = 30;
};

struct Setup {
  ServerOptions server;
  Scale scale;
  bool instrumented = false;  // by a sanitizer: its times and its memory mean nothing
};

struct Row {
  std::string work, target, measured;
  bool passed = true;
  Json values = Json::object();
};

Row idle_streams(const Setup& setup, bool secure);
Row deaf_clients(const Setup& setup);
Row together(const Setup& setup);
Row stall(const Setup& setup);
Row livez(const Setup& setup);
Row leavers(const Setup& setup);
Row soak(const Setup& setup);

// ---- what the scenarios have in common
// A streamed answer of `tokens` tokens (-1: until the context is full), whatever the model wants.
CallOptions story(uint64_t seed, int64_t tokens = -1, int choices = 1);
// A prompt of nearly the whole context of the bundled model that no other shares, and one token.
CallOptions long_prompt(uint64_t seed);
// Whether a stream came to its proper end.
bool is_whole(const Call& call);
int64_t completion_tokens(const Call& call);
// The times between its events within [from, to], in ms.
std::vector<double> gaps_ms(const Call& call, double from, double to);
// Of sorted or unsorted values, 0 for none.
double quantile(std::vector<double> values, double share);

}  // namespace hadal::bench
