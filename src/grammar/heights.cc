// How deep calls within calls have to go from a state until its rule can end: what is begun near
// the limit of depth must still be completed.
#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

#include "grammar/grammar.h"

namespace hadal::grammar {
namespace {

constexpr int32_t unknown = std::numeric_limits<int32_t>::max();

struct Way {
  StateId from;
  RuleId rule;  // called on it; -1: none
};

size_t at(int32_t i) {
  return static_cast<size_t>(i);
}

// The ways into each state.
std::vector<std::vector<Way>> ways_back(const Grammar& g) {
  std::vector<std::vector<Way>> back(g.states.size());
  for (size_t s = 0; s + 1 < g.states.size(); ++s) {
    const Grammar::State &a = g.states[s], &b = g.states[s + 1];
    const auto from = static_cast<StateId>(s);
    for (size_t e = a.first_byte; e < b.first_byte; ++e)
      if (back[at(g.bytes[e].to)].empty() || back[at(g.bytes[e].to)].back().from != from)
        back[at(g.bytes[e].to)].push_back({from, -1});
    for (size_t e = a.first_token; e < b.first_token; ++e)
      back[at(g.tokens[e].to)].push_back({from, -1});
    for (size_t e = a.first_empty; e < b.first_empty; ++e)
      back[at(g.empties[e])].push_back({from, -1});
    for (size_t e = a.first_call; e < b.first_call; ++e)
      back[at(g.calls[e].to)].push_back({from, g.calls[e].rule});
  }
  return back;
}

}  // namespace

// Dijkstra's algorithm backwards from the ends, with the largest height on the way for its length.
void find_heights(Grammar& g) {
  const size_t states = g.states.size() - 1;
  const std::vector<std::vector<Way>> back = ways_back(g);
  std::vector<std::vector<std::pair<StateId, StateId>>> calls(g.rule_starts.size());
  std::vector<std::vector<RuleId>> starts(states);
  for (size_t r = 0; r < g.rule_starts.size(); ++r)
    starts[at(g.rule_starts[r])].push_back(static_cast<RuleId>(r));
  for (size_t s = 0; s < states; ++s)
    for (size_t e = g.states[s].first_call; e < g.states[s + 1].first_call; ++e)
      calls[at(g.calls[e].rule)].emplace_back(static_cast<StateId>(s), g.calls[e].to);
  g.heights.assign(states, unknown);
  std::vector<bool> settled(states);
  using Place = std::pair<int32_t, StateId>;
  std::priority_queue<Place, std::vector<Place>, std::greater<>> todo;
  const auto reach = [&](StateId state, int32_t height) {
    if (height >= g.heights[at(state)]) return;
    g.heights[at(state)] = height;
    todo.emplace(height, state);
  };
  const auto called = [&](StateId from, RuleId rule, StateId to) {
    const StateId start = g.rule_starts[at(rule)];
    if (!settled[at(start)] || !settled[at(to)]) return;
    const int32_t deeper = g.states[at(to)].returns ? 0 : 1;  // a last call adds nothing
    reach(from, std::max(g.heights[at(to)], g.heights[at(start)] + deeper));
  };
  for (size_t s = 0; s < states; ++s)
    if (g.states[s].accepts) reach(static_cast<StateId>(s), 0);
  while (!todo.empty()) {
    const auto [height, state] = todo.top();
    todo.pop();
    if (settled[at(state)]) continue;
    settled[at(state)] = true;
    for (const Way& way : back[at(state)]) {
      if (way.rule < 0)
        reach(way.from, height);
      else
        called(way.from, way.rule, state);
    }
    for (const RuleId rule : starts[at(state)])
      for (const auto& [from, to] : calls[at(rule)]) called(from, rule, to);
  }
}

}  // namespace hadal::grammar
