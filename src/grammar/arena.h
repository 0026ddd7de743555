// The states that a grammar's machine can be in, made as they are reached and kept: a deterministic
// automaton that is built lazily over a non-deterministic one with a stack.
//
// A way to read what was written so far is an item (state, returns): where the innermost rule
// stands, and where its callers go on when it ends. `returns` is a set of items of the callers,
// made once for equal contents and known by its number. A node is a set of items, made once, too.
// So stacks are shared wherever they are equal, ambiguous grammars cost no more than their
// different contents, and a loop (the characters of a string, the elements of a list) leads back to
// the node it started from, whose mask is known. A call in a rule's last place adds nothing to the
// stack: right recursion is a loop as well.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/grammar.h"

namespace hadal::grammar {

struct Item {
  StateId state;    // -1: the whole grammar is done
  int32_t returns;  // number of a set; 0: behind the root there is nothing
  friend bool operator==(const Item&, const Item&) = default;
  friend auto operator<=>(const Item&, const Item&) = default;
};
using Items = std::vector<Item>;

// Sets of items by number, each made once.
class ItemSets {
 public:
  // items: ascending, each once. Second: whether it is new.
  std::pair<int32_t, bool> intern(const Items& items);
  const Items& operator[](int32_t number) const { return sets_[static_cast<size_t>(number)]; }
  size_t size() const { return sets_.size(); }

 private:
  std::vector<Items> sets_;
  std::unordered_multimap<uint64_t, int32_t> by_hash_;
};

// Not for several threads at once.
class Arena {
 public:
  static constexpr int32_t dead = -1;

  // The grammar must outlive the arena.
  Arena(const Grammar& grammar, int64_t items_max);

  int32_t start() const { return start_; }
  // Where a byte or a special token leads from a node; dead: it is not allowed. `steps` is lowered
  // by the work done. Throws Error(limit) when it is used up, or a node has too many items.
  int32_t next(int32_t node, uint8_t byte, int64_t& steps) {
    const int32_t known = (*nodes_[static_cast<size_t>(node)].next)[byte];
    return known != unknown ? known : find_next(node, byte, steps);
  }
  int32_t next_token(int32_t node, int32_t token, int64_t& steps);
  bool accepts(int32_t node) const { return at(node).accepts; }
  // Nothing can be read here.
  bool is_final(int32_t node) const { return at(node).readers.empty(); }
  // The special tokens that can be read here.
  std::vector<int32_t> tokens(int32_t node) const;

  // Something that belongs to a node: its mask.
  std::shared_ptr<const std::vector<uint64_t>>& mask(int32_t node) {
    return nodes_[static_cast<size_t>(node)].mask;
  }
  void count_bytes(size_t bytes) { bytes_ += static_cast<int64_t>(bytes); }
  int64_t bytes() const { return bytes_; }  // kept, about

  // The same place in a fresh arena of the same grammar.
  int32_t move_to(Arena& other, int32_t node, int64_t& steps) const;

 private:
  static constexpr int32_t unknown = -2;
  struct Node {
    Items readers;  // the items, or what follows from them, that read a byte or a special token
    bool accepts = false;
    std::unique_ptr<std::array<int32_t, 256>> next;
    std::shared_ptr<const std::vector<uint64_t>> mask;
  };
  // Items in order of arrival, each once.
  class Found {
   public:
    bool add(Item item);
    void clear();
    const Items& items() const { return items_; }

   private:
    Items items_;
    std::vector<int32_t> slots_ = std::vector<int32_t>(64, -1);  // index into items_
  };

  // Nothing can follow, and it is no end: all calls here would be too deep.
  bool is_stuck(int32_t node) const { return at(node).readers.empty() && !at(node).accepts; }
  const Node& at(int32_t node) const { return nodes_[static_cast<size_t>(node)]; }
  int32_t find_next(int32_t node, uint8_t byte, int64_t& steps);
  int32_t node_of(Items& items, int64_t& steps);
  int32_t returns_of(Items& callers);
  bool is_too_deep(StateId state, int32_t depth) const;
  void add(Item item);
  void complete(int32_t returns, Node& node);
  void follow(Item item, Node& node);
  void drain(size_t& next, Node& node, int64_t& steps);
  void expand(const Items& items, Node& node, int64_t& steps);

  const Grammar& grammar_;
  const int64_t items_max_;
  ItemSets returns_, kernels_;
  std::vector<int32_t> depths_;  // of returns_: calls within calls
  std::vector<Node> nodes_;      // by number of kernels_
  int32_t start_ = 0;
  int64_t bytes_ = 0;
  // Scratch of expand().
  Found found_, completed_;
  std::vector<Items> callers_;                        // by rule: who called it here
  std::vector<std::pair<int32_t, RuleId>> to_enter_;  // (rank, rule), a heap with the least on top
};

}  // namespace hadal::grammar
