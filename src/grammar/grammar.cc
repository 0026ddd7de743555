#include "grammar/grammar.h"

#include <array>

#include "base/error.h"

namespace hadal::grammar {

GrammarBuilder::GrammarBuilder(const GrammarLimits& limits) : limits_(limits) {}

RuleId GrammarBuilder::add_rule(std::string_view name, StateId start, StateId end) {
  if (static_cast<int64_t>(rules_.size()) >= limits_.rules_max)
    fail(ErrorKind::limit, "the grammar has more than {} rules", limits_.rules_max);
  rules_.push_back({std::string(name.substr(0, 60)), start, end});
  return static_cast<RuleId>(rules_.size() - 1);
}

RuleId GrammarBuilder::add_rule(std::string_view name) {
  const StateId start = add_state();
  return add_rule(name, start, add_state());
}

StateId GrammarBuilder::add_state() {
  if (states_ >= limits_.states_max)
    fail(ErrorKind::limit, "the grammar needs more than {} states: fewer or shorter repetitions?",
         limits_.states_max);
  return states_++;
}

void GrammarBuilder::add_edge(const Edge& edge) {
  if (static_cast<int64_t>(edges_.size()) >= limits_.edges_max)
    fail(ErrorKind::limit, "the grammar needs more than {} edges: fewer or shorter repetitions?",
         limits_.edges_max);
  edges_.push_back(edge);
}

void GrammarBuilder::empty(StateId from, StateId to) {
  add_edge({Edge::Kind::empty, 0, 0, from, to, 0});
}

void GrammarBuilder::byte(StateId from, uint8_t low, uint8_t high, StateId to) {
  add_edge({Edge::Kind::byte, low, high, from, to, 0});
}

void GrammarBuilder::token(StateId from, int32_t id, StateId to) {
  add_edge({Edge::Kind::token, 0, 0, from, to, id});
}

void GrammarBuilder::call(StateId from, RuleId rule, StateId to) {
  add_edge({Edge::Kind::call, 0, 0, from, to, rule});
}

StateId GrammarBuilder::literal(StateId from, std::string_view bytes) {
  for (const char c : bytes) {
    const StateId to = add_state();
    byte(from, static_cast<uint8_t>(c), static_cast<uint8_t>(c), to);
    from = to;
  }
  return from;
}

StateId GrammarBuilder::call(StateId from, RuleId rule) {
  const StateId to = add_state();
  call(from, rule, to);
  return to;
}

StateId GrammarBuilder::token(StateId from, int32_t id) {
  const StateId to = add_state();
  token(from, id, to);
  return to;
}

StateId GrammarBuilder::repeat(StateId from, RuleId rule, int64_t least, int64_t most) {
  for (int64_t i = 0; i < least; ++i) from = call(from, rule);
  if (most < 0) {
    const StateId loop = add_state();
    empty(from, loop);
    call(loop, rule, loop);
    return loop;
  }
  const StateId last = add_state();
  for (int64_t i = least; i < most; ++i) {
    empty(from, last);
    from = call(from, rule);
  }
  empty(from, last);
  return last;
}

// The automaton of Knuth, Morris and Pratt: state k has just read the terminator's first k bytes.
void GrammarBuilder::until(StateId from, std::string_view terminator, StateId last,
                           std::vector<StateId>* not_yet) {
  const size_t n = terminator.size();
  HADAL_CHECK(n > 0, "an empty terminator");
  std::vector<StateId> states(n + 1, last);
  for (size_t k = 0; k < n; ++k) states[k] = add_state();
  empty(from, states[0]);
  std::vector<std::array<size_t, 256>> next(n);
  size_t fallback = 0;  // of state k: the longest end of what it read that is a beginning, too
  for (size_t k = 0; k < n; ++k) {
    next[k] = k == 0 ? std::array<size_t, 256>{} : next[fallback];
    const auto expected = static_cast<uint8_t>(terminator[k]);
    if (k > 0) fallback = next[fallback][expected];
    next[k][expected] = k + 1;
    for (size_t low = 0; low < 256;) {
      size_t high = low;
      while (high + 1 < 256 && next[k][high + 1] == next[k][low]) ++high;
      byte(states[k], static_cast<uint8_t>(low), static_cast<uint8_t>(high), states[next[k][low]]);
      low = high + 1;
    }
  }
  if (not_yet != nullptr) not_yet->assign(states.begin(), states.end() - 1);
}

}  // namespace hadal::grammar
