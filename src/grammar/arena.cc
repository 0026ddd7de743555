#include "grammar/arena.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/error.h"

namespace hadal::grammar {
namespace {

size_t at_index(int32_t i) {
  return static_cast<size_t>(i);
}

uint64_t mix(uint64_t x) {
  x ^= x >> 32;
  x *= 0x9E3779B97F4A7C15u;
  return x ^ x >> 29;
}

uint64_t hash(Item item) {
  return mix(static_cast<uint64_t>(static_cast<uint32_t>(item.state)) << 32 |
             static_cast<uint32_t>(item.returns));
}

void sort_unique(Items& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

constexpr Item done{-1, 0};

}  // namespace

std::pair<int32_t, bool> ItemSets::intern(const Items& items) {
  uint64_t key = items.size();
  for (const Item& item : items) key = mix(key + hash(item));
  const auto [begin, end] = by_hash_.equal_range(key);
  for (auto i = begin; i != end; ++i)
    if (sets_[at_index(i->second)] == items) return {i->second, false};
  const auto number = static_cast<int32_t>(sets_.size());
  sets_.push_back(items);
  by_hash_.emplace(key, number);
  return {number, true};
}

bool Arena::Found::add(Item item) {
  const size_t mask = slots_.size() - 1;
  size_t slot = hash(item) & mask;
  for (; slots_[slot] >= 0; slot = (slot + 1) & mask)
    if (items_[at_index(slots_[slot])] == item) return false;
  slots_[slot] = static_cast<int32_t>(items_.size());
  items_.push_back(item);
  if (items_.size() * 2 < slots_.size()) return true;
  std::vector<int32_t> larger(slots_.size() * 2, -1);
  for (size_t i = 0; i < items_.size(); ++i) {
    size_t place = hash(items_[i]) & (larger.size() - 1);
    while (larger[place] >= 0) place = (place + 1) & (larger.size() - 1);
    larger[place] = static_cast<int32_t>(i);
  }
  slots_ = std::move(larger);
  return true;
}

void Arena::Found::clear() {
  if (items_.size() < 32 && slots_.size() > 64)
    slots_.assign(64, -1);
  else
    std::fill(slots_.begin(), slots_.end(), -1);
  items_.clear();
}

Arena::Arena(const Grammar& grammar, int64_t items_max)
    : grammar_(grammar), items_max_(items_max), callers_(grammar.rule_starts.size()) {
  returns_.intern({done});
  depths_.push_back(0);
  int64_t steps = int64_t{1} << 40;  // one node only
  Items first = {{grammar.rule_starts[at_index(grammar.root)], 0}};
  start_ = node_of(first, steps);
}

// The number of the set of places where callers go on. A caller with nothing left to do is left out
// in favour of its own callers.
int32_t Arena::returns_of(Items& callers) {
  Items out;
  int depth = 0;
  for (const Item& caller : callers) {
    if (grammar_.states[at_index(caller.state)].returns) {
      const Items& theirs = returns_[caller.returns];
      out.insert(out.end(), theirs.begin(), theirs.end());
      depth = std::max(depth, depths_[at_index(caller.returns)]);
    } else {
      out.push_back(caller);
      depth = std::max(depth, depths_[at_index(caller.returns)] + 1);
    }
  }
  if (depth > grammar_.depth_max) return dead;
  sort_unique(out);
  const auto [number, is_new] = returns_.intern(out);
  if (is_new) {
    depths_.push_back(depth);
    bytes_ += static_cast<int64_t>(out.size() * sizeof(Item) + 100);
  }
  return number;
}

// From such an item its rule could not be completed.
bool Arena::is_too_deep(StateId state, int32_t depth) const {
  return grammar_.heights[at_index(state)] > grammar_.depth_max - depth;
}

void Arena::add(Item item) {
  if (is_too_deep(item.state, depths_[at_index(item.returns)])) return;
  if (found_.add(item) && static_cast<int64_t>(found_.items().size()) > items_max_)
    fail(ErrorKind::limit,
         "the grammar is too ambiguous: there are more than {} ways to read what was written",
         items_max_);
}

// A rule ends: all that wait for it go on.
void Arena::complete(int32_t returns, Node& node) {
  if (!completed_.add({0, returns})) return;
  for (const Item& item : returns_[returns]) {
    if (item == done)
      node.accepts = true;
    else
      add(item);
  }
}

void Arena::follow(Item item, Node& node) {
  const Grammar::State &a = grammar_.states[at_index(item.state)],
                       &b = grammar_.states[at_index(item.state) + 1];
  if (a.accepts) complete(item.returns, node);
  for (size_t e = a.first_empty; e < b.first_empty; ++e) add({grammar_.empties[e], item.returns});
  for (size_t c = a.first_call; c < b.first_call; ++c) {
    const Grammar::CallEdge& call = grammar_.calls[c];
    const int depth = depths_[at_index(item.returns)];
    const int deeper = grammar_.states[at_index(call.to)].returns ? depth : depth + 1;
    if (is_too_deep(call.to, depth) ||
        is_too_deep(grammar_.rule_starts[at_index(call.rule)], deeper))
      continue;
    Items& callers = callers_[at_index(call.rule)];
    if (callers.empty()) {
      to_enter_.emplace_back(grammar_.rule_ranks[at_index(call.rule)], call.rule);
      std::push_heap(to_enter_.begin(), to_enter_.end(), std::greater<>());
    }
    callers.push_back({call.to, item.returns});
  }
  if (a.first_byte < b.first_byte || a.first_token < b.first_token) node.readers.push_back(item);
}

void Arena::drain(size_t& next, Node& node, int64_t& steps) {
  for (; next < found_.items().size(); ++next) {
    const Item item = found_.items()[next];
    const Grammar::State &a = grammar_.states[at_index(item.state)],
                         &b = grammar_.states[at_index(item.state) + 1];
    steps -= 4 + (b.first_call - a.first_call) + (b.first_empty - a.first_empty);
    if (steps < 0) fail(ErrorKind::limit, "the grammar takes too much work at this place");
    follow(item, node);
  }
}

// All that follows from some items without reading. Rules are entered after all that can begin with
// them, so that all callers of a rule are known when it is entered; a rule that may be empty needs
// no second look at its callers, since they have an empty edge around the call.
void Arena::expand(const Items& items, Node& node, int64_t& steps) {
  found_.clear();
  completed_.clear();
  for (const auto& [rank, rule] : to_enter_) callers_[at_index(rule)].clear();  // after an error
  to_enter_.clear();
  for (const Item& item : items) {
    if (item == done)
      node.accepts = true;
    else
      add(item);
  }
  size_t next = 0;
  for (drain(next, node, steps); !to_enter_.empty(); drain(next, node, steps)) {
    std::pop_heap(to_enter_.begin(), to_enter_.end(), std::greater<>());
    const RuleId rule = to_enter_.back().second;
    to_enter_.pop_back();
    Items& callers = callers_[at_index(rule)];
    steps -= static_cast<int64_t>(callers.size());
    const int32_t returns = returns_of(callers);
    callers.clear();
    if (returns != dead) add({grammar_.rule_starts[at_index(rule)], returns});
  }
}

// items is sorted. Items with nothing left to do stand for their callers.
int32_t Arena::node_of(Items& items, int64_t& steps) {
  Items kernel;
  for (const Item& item : items) {
    if (item != done && grammar_.states[at_index(item.state)].returns) {
      const Items& callers = returns_[item.returns];
      kernel.insert(kernel.end(), callers.begin(), callers.end());
    } else {
      kernel.push_back(item);
    }
  }
  sort_unique(kernel);
  if (kernel.empty()) return dead;
  const auto [number, is_new] = kernels_.intern(kernel);
  if (!is_new) return is_stuck(number) ? dead : number;
  Node node;
  try {
    expand(kernel, node, steps);
  } catch (...) {
    nodes_.emplace_back();  // the number is taken
    throw;
  }
  node.next = std::make_unique<std::array<int32_t, 256>>();
  node.next->fill(unknown);
  bytes_ += static_cast<int64_t>((kernel.size() + node.readers.size()) * sizeof(Item) + 1400);
  steps -= 256;
  nodes_.push_back(std::move(node));
  return is_stuck(number) ? dead : number;
}

int32_t Arena::find_next(int32_t node, uint8_t byte, int64_t& steps) {
  Items kernel;
  for (const Item& item : at(node).readers) {
    const Grammar::State &a = grammar_.states[at_index(item.state)],
                         &b = grammar_.states[at_index(item.state) + 1];
    steps -= b.first_byte - a.first_byte;
    for (size_t e = a.first_byte; e < b.first_byte; ++e) {
      const Grammar::ByteEdge& edge = grammar_.bytes[e];
      if (edge.low <= byte && byte <= edge.high) kernel.push_back({edge.to, item.returns});
    }
  }
  const int32_t to = node_of(kernel, steps);
  (*nodes_[at_index(node)].next)[byte] = to;
  return to;
}

int32_t Arena::next_token(int32_t node, int32_t token, int64_t& steps) {
  Items kernel;
  for (const Item& item : at(node).readers) {
    const Grammar::State &a = grammar_.states[at_index(item.state)],
                         &b = grammar_.states[at_index(item.state) + 1];
    for (size_t e = a.first_token; e < b.first_token; ++e)
      if (grammar_.tokens[e].token == token)
        kernel.push_back({grammar_.tokens[e].to, item.returns});
  }
  return node_of(kernel, steps);
}

std::vector<int32_t> Arena::tokens(int32_t node) const {
  std::vector<int32_t> out;
  for (const Item& item : at(node).readers) {
    const Grammar::State &a = grammar_.states[at_index(item.state)],
                         &b = grammar_.states[at_index(item.state) + 1];
    for (size_t e = a.first_token; e < b.first_token; ++e) out.push_back(grammar_.tokens[e].token);
  }
  return out;
}

int32_t Arena::move_to(Arena& other, int32_t node, int64_t& steps) const {
  // A set names only sets that are older: so the numbers that are needed, from the least up.
  std::map<int32_t, int32_t> numbers;
  std::vector<int32_t> todo;
  const auto need = [&](int32_t returns) {
    if (numbers.emplace(returns, 0).second) todo.push_back(returns);
  };
  for (const Item& item : kernels_[node]) need(item.returns);
  while (!todo.empty()) {
    const int32_t number = todo.back();
    todo.pop_back();
    for (const Item& item : returns_[number])
      if (item != done) need(item.returns);
  }
  const auto moved = [&](const Items& items) {
    Items out;
    for (const Item& item : items)
      out.push_back(item == done ? done : Item{item.state, numbers.at(item.returns)});
    return out;
  };
  for (auto& [number, there] : numbers) {
    Items set = moved(returns_[number]);
    sort_unique(set);
    const auto [found, is_new] = other.returns_.intern(set);
    if (is_new) other.depths_.push_back(depths_[at_index(number)]);
    there = found;
  }
  Items kernel = moved(kernels_[node]);
  return other.node_of(kernel, steps);
}

}  // namespace hadal::grammar
