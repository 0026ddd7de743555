#include "tokenizer/merges.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace hadal::tokenizer {
namespace {

// Up to here a scan of all ranks is quicker than a heap; words have a dozen bytes.
constexpr size_t kShort = 48;

constexpr int kMostProbes = 1000;

}  // namespace

void MergeTable::start(size_t count) {
  const size_t slots = std::bit_ceil(2 * count + 2);
  entries_.assign(slots, Entry{});
  mask_ = slots - 1;
  shift_ = 64 - std::countr_zero(slots);
}

MergeTable::Added MergeTable::add(int32_t left, int32_t right, uint32_t rank, int32_t id) {
  const uint64_t pair = key(left, right);
  size_t at = slot(pair);
  for (int probe = 0; probe < kMostProbes; ++probe, at = (at + 1) & mask_) {
    if (entries_[at].pair == kEmpty) {
      entries_[at] = {pair, rank, id};
      return Added::yes;
    }
    if (entries_[at].pair == pair) {
      return Added::duplicate;
    }
  }
  return Added::collisions;
}

void MergeTable::apply(std::vector<int32_t>& symbols) const {
  if (symbols.size() < 2) {
    return;
  }
  if (symbols.size() <= kShort) {
    apply_short(symbols);
  } else {
    apply_long(symbols);
  }
}

void MergeTable::apply_short(std::vector<int32_t>& symbols) const {
  uint32_t ranks[kShort];
  int32_t merged[kShort];
  const auto look = [&](size_t i) {
    const Entry entry = find(symbols[i], symbols[i + 1]);
    ranks[i] = entry.rank;
    merged[i] = entry.id;
  };
  size_t pairs = symbols.size() - 1;
  for (size_t i = 0; i < pairs; ++i) {
    look(i);
  }
  while (pairs > 0) {
    const auto best = static_cast<size_t>(std::min_element(ranks, ranks + pairs) - ranks);
    if (ranks[best] == kNone) {
      break;
    }
    symbols[best] = merged[best];
    std::copy(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              symbols.begin() + static_cast<std::ptrdiff_t>(pairs) + 1,
              symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    std::copy(ranks + best + 1, ranks + pairs, ranks + best);
    std::copy(merged + best + 1, merged + pairs, merged + best);
    --pairs;
    if (best > 0) {
      look(best - 1);
    }
    if (best < pairs) {
      look(best);
    }
  }
  symbols.resize(pairs + 1);
}

// A linked list of symbols and a heap of (rank, position). Entries whose pair has changed since are
// recognised by its rank and dropped.
void MergeTable::apply_long(std::vector<int32_t>& symbols) const {
  const auto count = static_cast<uint32_t>(symbols.size());
  const uint32_t none = count;
  struct Node {
    uint32_t previous, next;
    uint32_t rank;   // of the pair with the next symbol
    int32_t merged;  // what that pair becomes
  };
  std::vector<Node> nodes(count);
  std::vector<uint64_t> heap;
  heap.reserve(count);
  const auto look = [&](uint32_t i) {
    Node& node = nodes[i];
    const Entry entry = node.next == none ? Entry{} : find(symbols[i], symbols[node.next]);
    node.rank = entry.rank;
    node.merged = entry.id;
    return entry.rank != kNone;
  };
  const auto item = [&](uint32_t i) { return static_cast<uint64_t>(nodes[i].rank) << 32 | i; };
  for (uint32_t i = 0; i < count; ++i) {
    nodes[i].previous = i == 0 ? none : i - 1;
    nodes[i].next = i + 1;
    if (look(i)) {
      heap.push_back(item(i));
    }
  }
  const auto push = [&](uint32_t i) {
    if (look(i)) {
      heap.push_back(item(i));
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  };
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  while (!heap.empty()) {
    const uint64_t top = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    const auto i = static_cast<uint32_t>(top);
    Node& node = nodes[i];
    if (node.rank != static_cast<uint32_t>(top >> 32)) {
      continue;
    }
    const uint32_t right = node.next;
    symbols[i] = node.merged;
    node.next = nodes[right].next;
    nodes[right].rank = kNone;
    if (node.next != none) {
      nodes[node.next].previous = i;
    }
    push(i);
    if (node.previous != none) {
      push(node.previous);
    }
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i != none; i = nodes[i].next) {
    symbols[kept++] = symbols[i];
  }
  symbols.resize(kept);
}

}  // namespace hadal::tokenizer
