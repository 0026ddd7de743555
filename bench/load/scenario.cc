#include "scenario.h"

#include <algorithm>
#include <cmath>

namespace hadal::bench {

CallOptions story(uint64_t seed, int64_t tokens, int choices) {
  Json body = {{"messages", {{{"role", "user"}, {"content", "Tell me a story."}}}},
               {"stream", true},
               {"ignore_eos", true},
               {"temperature", 1.0},
               {"seed", seed},
               {"n", choices}};
  if (tokens > 0) body["max_tokens"] = tokens;
  CallOptions options;
  options.body = body.dump();
  return options;
}

CallOptions long_prompt(uint64_t seed) {
  constexpr const char* words[] = {"cat", "dog",  "sun", "tree", "fish", "milk", "door", "king",
                                   "red", "blue", "big", "old",  "new",  "hot",  "cold", "good"};
  constexpr int count = 900;  // of one token each, most of them
  std::string text;
  for (int i = 0; i < count; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    text += std::string(i > 0 ? " " : "") + words[seed >> 60];
  }
  const Json body = {
      {"messages", {{{"role", "user"}, {"content", text}}}}, {"stream", true}, {"max_tokens", 1}};
  CallOptions options;
  options.body = body.dump();
  return options;
}

bool is_whole(const Call& call) {
  return call.response().whole() && call.response().status() == 200 &&
         (!call.response().is_stream() || call.last_event() == "[DONE]");
}

int64_t completion_tokens(const Call& call) {
  const Json last = Json::parse(call.before_last(), nullptr, false);
  if (!last.is_object() || !last.contains("usage") || !last["usage"].is_object()) return 0;
  return last["usage"].value("completion_tokens", int64_t{0});
}

std::vector<double> gaps_ms(const Call& call, double from, double to) {
  std::vector<double> gaps;
  const std::vector<double>& times = call.event_s();
  for (size_t i = 1; i < times.size(); ++i)
    if (times[i - 1] >= from && times[i] <= to) gaps.push_back((times[i] - times[i - 1]) * 1000);
  return gaps;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = share * static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(std::lround(at))];
}

}  // namespace hadal::bench
