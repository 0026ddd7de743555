// What an answer may look like: rules over bytes and special tokens, compiled and checked. A
// grammar knows no vocabulary; constraint.h puts the two together. arena.h explains the
// machine.
//
// A rule is a small automaton whose edges read a byte, read a special token, call another rule or
// read nothing. Rules are made with GrammarBuilder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::grammar {

using StateId = int32_t;
using RuleId = int32_t;

struct GrammarLimits {
  int64_t states_max = 400'000;  // of all rules together: some 40 MB
  int64_t rules_max = 100'000;
  int64_t edges_max = 2'000'000;
};

// Compiled rules: an automaton with calls. Every state that is left in it can reach the end of its
// rule, and every rule ends: whatever was read so far can be completed.
struct Grammar {
  struct ByteEdge {
    uint8_t low, high;
    StateId to;
  };
  struct TokenEdge {
    int32_t token;  // id of a special token
    StateId to;
  };
  struct CallEdge {
    RuleId rule;
    StateId to;
  };
  // Edges of state s: those from its firsts to those of state s + 1.
  struct State {
    uint32_t first_byte = 0, first_token = 0, first_call = 0, first_empty = 0;
    bool accepts = false;  // the rule may end here
    bool returns = false;  // and nothing else can happen here
  };

  std::vector<State> states;  // and one more, for its firsts
  std::vector<ByteEdge> bytes;
  std::vector<TokenEdge> tokens;
  std::vector<CallEdge> calls;
  std::vector<StateId> empties;  // including around calls of rules that may be empty
  std::vector<StateId> rule_starts;
  std::vector<int32_t> heights;     // of states: calls within calls that are needed to end the rule
  std::vector<int32_t> rule_ranks;  // a rule that can begin with a call of another comes before it
  RuleId root = 0;
  int depth_max = 256;  // calls within calls; deeper is not offered
};

// Fills in Grammar::heights.
void find_heights(Grammar& grammar);

class GrammarBuilder {
 public:
  explicit GrammarBuilder(const GrammarLimits& limits = {});

  // A new rule; name is for messages. Its automaton is filled in between start(rule) and end(rule).
  RuleId add_rule(std::string_view name);
  // A rule of states that exist already.
  RuleId add_rule(std::string_view name, StateId start, StateId end);
  StateId start(RuleId rule) const { return rules_[static_cast<size_t>(rule)].start; }
  StateId end(RuleId rule) const { return rules_[static_cast<size_t>(rule)].end; }

  // Edges. All throw Error(limit) when the grammar becomes too large.
  StateId add_state();
  void empty(StateId from, StateId to);
  void byte(StateId from, uint8_t low, uint8_t high, StateId to);
  void token(StateId from, int32_t id, StateId to);
  void call(StateId from, RuleId rule, StateId to);
  size_t states() const { return static_cast<size_t>(states_); }

  // The same, each making the state behind it and returning it.
  StateId literal(StateId from, std::string_view bytes);
  StateId call(StateId from, RuleId rule);
  StateId token(StateId from, int32_t id);
  // rule{least,most}; most < 0: without end.
  StateId repeat(StateId from, RuleId rule, int64_t least, int64_t most);
  // Any bytes up to the first occurrence of `terminator`, which is read, too; last: the state
  // behind it. `not_yet`, if wanted: those states in which the terminator has not been met.
  void until(StateId from, std::string_view terminator, StateId last,
             std::vector<StateId>* not_yet = nullptr);

  // Checks and compiles. Throws Error(usage) naming the rule if one is left-recursive, or if the
  // root matches nothing; Error(limit) if what it matches is nested deeper than depth_max.
  Grammar compile(RuleId root, int depth_max = 256);

 private:
  friend class GrammarCompiler;
  struct Rule {
    std::string name;
    StateId start, end;
  };
  struct Edge {
    enum class Kind : uint8_t { empty, byte, token, call } kind;
    uint8_t low, high;
    StateId from, to;
    int32_t value;  // token id or rule
  };
  void add_edge(const Edge& edge);

  GrammarLimits limits_;
  std::vector<Rule> rules_;
  std::vector<Edge> edges_;
  StateId states_ = 0;
};

}  // namespace hadal::grammar
