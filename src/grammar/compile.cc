// From the edges that a builder gathered to a checked automaton: what can never end is cut off,
// rules that may be empty are found, and rules are ranked by what they can begin with.
#include <algorithm>
#include <functional>

#include "base/error.h"
#include "grammar/grammar.h"

namespace hadal::grammar {
namespace {

// Lists of numbers by number, as one array: built by counting.
class Index {
 public:
  Index(size_t keys, size_t values, const std::function<int32_t(size_t)>& key_of)
      : firsts_(keys + 1), values_() {
    for (size_t i = 0; i < values; ++i)
      if (const int32_t key = key_of(i); key >= 0) ++firsts_[static_cast<size_t>(key) + 1];
    for (size_t k = 0; k < keys; ++k) firsts_[k + 1] += firsts_[k];
    values_.resize(firsts_[keys]);
    std::vector<size_t> next(firsts_.begin(), firsts_.end() - 1);
    for (size_t i = 0; i < values; ++i)
      if (const int32_t key = key_of(i); key >= 0) values_[next[static_cast<size_t>(key)]++] = i;
  }
  std::pair<const size_t*, const size_t*> of(int32_t key) const {
    const auto k = static_cast<size_t>(key);
    return {values_.data() + firsts_[k], values_.data() + firsts_[k + 1]};
  }

 private:
  std::vector<size_t> firsts_, values_;
};

}  // namespace

class GrammarCompiler {
 public:
  using Edge = GrammarBuilder::Edge;
  using Kind = Edge::Kind;

  GrammarCompiler(const std::vector<GrammarBuilder::Rule>& rules, const std::vector<Edge>& edges,
                  size_t states)
      : rules_(rules),
        edges_(edges),
        by_from_(states, edges.size(), [&](size_t i) { return edges[i].from; }),
        by_to_(states, edges.size(), [&](size_t i) { return edges[i].to; }),
        by_call_(rules.size(), edges.size(),
                 [&](size_t i) { return edges[i].kind == Kind::call ? edges[i].value : -1; }),
        by_start_(states, rules.size(), [&](size_t i) { return rules[i].start; }),
        states_(states) {}

  Grammar compile(RuleId root) {
    const std::vector<bool> live = reach_ends([](const Edge&) { return true; });
    if (!live[at(start(root))])
      fail(ErrorKind::usage, "rule '{}' matches nothing: it can never end", rules_[at(root)].name);
    const std::vector<bool> nullable = reach_ends(
        [](const Edge& edge) { return edge.kind == Kind::empty || edge.kind == Kind::call; });
    number(root, live);
    emit(live, nullable);
    rank();
    grammar_.root = rule_ids_[at(root)];
    return std::move(grammar_);
  }

 private:
  static size_t at(int32_t i) { return static_cast<size_t>(i); }
  StateId start(RuleId rule) const { return rules_[at(rule)].start; }

  // The states from which the rule's end can be reached by such edges; a call counts as one if its
  // rule's start is such a state.
  template <typename F>
  std::vector<bool> reach_ends(F passes) const {
    std::vector<bool> reached(states_);
    std::vector<StateId> todo;
    const auto reach = [&](StateId state) {
      if (!reached[at(state)]) {
        reached[at(state)] = true;
        todo.push_back(state);
      }
    };
    for (const GrammarBuilder::Rule& rule : rules_) reach(rule.end);
    while (!todo.empty()) {
      const StateId state = todo.back();
      todo.pop_back();
      for (auto [i, end] = by_to_.of(state); i != end; ++i) {
        const Edge& edge = edges_[*i];
        if (passes(edge) && (edge.kind != Kind::call || reached[at(start(edge.value))]))
          reach(edge.from);
      }
      for (auto [r, last] = by_start_.of(state); r != last; ++r)
        for (auto [i, end] = by_call_.of(static_cast<RuleId>(*r)); i != end; ++i)
          if (passes(edges_[*i]) && reached[at(edges_[*i].to)]) reach(edges_[*i].from);
    }
    return reached;
  }

  bool kept(const Edge& edge, const std::vector<bool>& live) const {
    return live[at(edge.to)] && (edge.kind != Kind::call || live[at(start(edge.value))]);
  }

  // Numbers the states and rules that the root can reach, in the order in which it does.
  void number(RuleId root, const std::vector<bool>& live) {
    state_ids_.assign(states_, -1);
    rule_ids_.assign(rules_.size(), -1);
    const auto see_state = [&](StateId state) {
      if (state_ids_[at(state)] >= 0) return;
      state_ids_[at(state)] = static_cast<StateId>(order_.size());
      order_.push_back(state);
    };
    const auto see_rule = [&](RuleId rule) {
      if (rule_ids_[at(rule)] >= 0) return;
      rule_ids_[at(rule)] = static_cast<RuleId>(rule_order_.size());
      rule_order_.push_back(rule);
      see_state(start(rule));
    };
    see_rule(root);
    for (size_t next = 0; next < order_.size(); ++next)
      for (auto [i, end] = by_from_.of(order_[next]); i != end; ++i) {
        const Edge& edge = edges_[*i];
        if (!kept(edge, live)) continue;
        if (edge.kind == Kind::call) see_rule(edge.value);
        see_state(edge.to);
      }
  }

  void emit(const std::vector<bool>& live, const std::vector<bool>& nullable) {
    Grammar& g = grammar_;
    for (const RuleId rule : rule_order_) g.rule_starts.push_back(state_ids_[at(start(rule))]);
    for (const StateId old : order_) {
      g.states.push_back(firsts());
      g.states.back().accepts = nullable[at(old)];
      for (auto [i, end] = by_from_.of(old); i != end; ++i) {
        const Edge& edge = edges_[*i];
        if (!kept(edge, live)) continue;
        const StateId to = state_ids_[at(edge.to)];
        if (edge.kind == Kind::byte) g.bytes.push_back({edge.low, edge.high, to});
        if (edge.kind == Kind::token) g.tokens.push_back({edge.value, to});
        if (edge.kind == Kind::call) g.calls.push_back({rule_ids_[at(edge.value)], to});
        if (edge.kind == Kind::empty ||
            (edge.kind == Kind::call && nullable[at(start(edge.value))]))
          g.empties.push_back(to);
      }
    }
    g.states.push_back(firsts());
    find_returns();
  }

  Grammar::State firsts() const {
    const Grammar& g = grammar_;
    Grammar::State state;
    state.first_byte = static_cast<uint32_t>(g.bytes.size());
    state.first_token = static_cast<uint32_t>(g.tokens.size());
    state.first_call = static_cast<uint32_t>(g.calls.size());
    state.first_empty = static_cast<uint32_t>(g.empties.size());
    return state;
  }

  // A state returns if neither it nor what it reaches by empty edges can read anything.
  void find_returns() {
    Grammar& g = grammar_;
    const size_t n = g.states.size() - 1;
    std::vector<StateId> sources(g.empties.size());
    std::vector<bool> reads(n);
    std::vector<StateId> todo;
    for (size_t s = 0; s < n; ++s) {
      const Grammar::State &a = g.states[s], &b = g.states[s + 1];
      for (size_t e = a.first_empty; e < b.first_empty; ++e) sources[e] = static_cast<StateId>(s);
      reads[s] = a.first_byte < b.first_byte || a.first_token < b.first_token ||
                 a.first_call < b.first_call;
      if (reads[s]) todo.push_back(static_cast<StateId>(s));
    }
    const Index by_target(n, g.empties.size(), [&](size_t e) { return g.empties[e]; });
    while (!todo.empty()) {
      const StateId state = todo.back();
      todo.pop_back();
      for (auto [e, end] = by_target.of(state); e != end; ++e) {
        const StateId source = sources[*e];
        if (reads[at(source)]) continue;
        reads[at(source)] = true;
        todo.push_back(source);
      }
    }
    for (size_t s = 0; s < n; ++s) g.states[s].returns = !reads[s];
  }

  // The rules that a rule can begin with: those called where nothing was read yet.
  std::vector<RuleId> beginnings(RuleId rule, std::vector<bool>& seen) const {
    const Grammar& g = grammar_;
    std::vector<RuleId> out;
    std::vector<StateId> todo = {g.rule_starts[at(rule)]};
    seen[at(todo.front())] = true;
    for (size_t next = 0; next < todo.size(); ++next) {
      const Grammar::State &a = g.states[at(todo[next])], &b = g.states[at(todo[next]) + 1];
      for (size_t c = a.first_call; c < b.first_call; ++c) out.push_back(g.calls[c].rule);
      for (size_t e = a.first_empty; e < b.first_empty; ++e)
        if (!seen[at(g.empties[e])]) {
          seen[at(g.empties[e])] = true;
          todo.push_back(g.empties[e]);
        }
    }
    for (const StateId state : todo) seen[at(state)] = false;
    return out;
  }

  // Kahn's topological order; what is left over begins with itself.
  void rank() {
    Grammar& g = grammar_;
    const size_t n = g.rule_starts.size();
    std::vector<std::vector<RuleId>> callees(n);
    std::vector<int32_t> callers(n);
    std::vector<bool> seen(g.states.size());
    for (size_t r = 0; r < n; ++r) {
      callees[r] = beginnings(static_cast<RuleId>(r), seen);
      for (const RuleId callee : callees[r]) ++callers[at(callee)];
    }
    g.rule_ranks.assign(n, -1);
    std::vector<RuleId> order;
    for (size_t r = 0; r < n; ++r)
      if (callers[r] == 0) order.push_back(static_cast<RuleId>(r));
    for (size_t next = 0; next < order.size(); ++next) {
      g.rule_ranks[at(order[next])] = static_cast<int32_t>(next);
      for (const RuleId callee : callees[at(order[next])])
        if (--callers[at(callee)] == 0) order.push_back(callee);
    }
    if (order.size() < n) refuse_left_recursion(callees);
  }

  // Every rule without a rank is called by another one: so walking from caller to caller ends in a
  // circle.
  [[noreturn]] void refuse_left_recursion(const std::vector<std::vector<RuleId>>& callees) const {
    const std::vector<int32_t>& ranks = grammar_.rule_ranks;
    std::vector<RuleId> caller(callees.size(), -1);
    RuleId rule = 0;
    for (size_t r = 0; r < callees.size(); ++r) {
      if (ranks[r] >= 0) continue;
      rule = static_cast<RuleId>(r);
      for (const RuleId callee : callees[r]) caller[at(callee)] = rule;
    }
    for (size_t i = 0; i < callees.size(); ++i) rule = caller[at(rule)];
    fail(ErrorKind::usage,
         "rule '{}' is left-recursive: it can begin with itself; write repetitions with * or +",
         rules_[at(rule_order_[at(rule)])].name);
  }

  const std::vector<GrammarBuilder::Rule>& rules_;
  const std::vector<Edge>& edges_;
  const Index by_from_, by_to_, by_call_, by_start_;
  const size_t states_;
  std::vector<StateId> state_ids_, order_;
  std::vector<RuleId> rule_ids_, rule_order_;
  Grammar grammar_;
};

Grammar GrammarBuilder::compile(RuleId root, int depth_max) {
  Grammar grammar = GrammarCompiler(rules_, edges_, states()).compile(root);
  grammar.depth_max = depth_max;
  find_heights(grammar);
  const StateId start = grammar.rule_starts[static_cast<size_t>(grammar.root)];
  if (grammar.heights[static_cast<size_t>(start)] > depth_max)
    fail(ErrorKind::limit, "rules call each other deeper than {}, however short the text",
         depth_max);
  return grammar;
}

}  // namespace hadal::grammar
