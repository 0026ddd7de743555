// Who owns which page of the attention cache, and which pages hold prefixes that another sequence
// may use.
//
// A page is free, held by one or more sequences, or kept: full of a prefix that nobody uses now and
// that stays until its place is needed (least recently used first). Shared pages form a tree: a
// page's parent holds the 64 tokens before it. A page is found by a hash of owner and all tokens up
// to its end, and then compared, so a collision costs a miss and never a wrong answer.
//
// Invariant: a sequence that holds a shared page holds all its ancestors, so every kept page can be
// had back, leaves first.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hadal::infer {

class KvPages {
 public:
  static constexpr int64_t page_tokens = 64;
  static constexpr int32_t none = -1;

  explicit KvPages(int64_t pages);

  int64_t pages() const { return static_cast<int64_t>(entries_.size()); }
  int64_t free() const { return static_cast<int64_t>(free_.size()); }
  int64_t kept() const { return kept_; }
  int64_t available() const { return free() + kept(); }
  int32_t references(int32_t page) const { return at(page).references; }

  // A page for one sequence, given back by release(). The caller knows that one is available.
  int32_t allocate();
  // Another sequence holds the page, too.
  void acquire(int32_t page);
  void release(int32_t page);

  // The hash of the page that follows the page with hash `parent_key` (0: none) and holds these
  // page_tokens tokens.
  static uint64_t page_key(uint64_t owner, uint64_t parent_key, std::span<const int32_t> tokens);
  // The shared page with these tokens behind `parent` (none: at the beginning), or none.
  int32_t find(uint64_t key, uint64_t owner, int32_t parent, std::span<const int32_t> tokens) const;
  // Shares a held page whose 64 positions are computed. If the tree has such a page already, the
  // held one is given back in exchange for it. Returns the page to use from now on. The parent is
  // held by the caller, too.
  int32_t share(uint64_t key, uint64_t owner, int32_t parent, std::span<const int32_t> tokens,
                int32_t page);

 private:
  struct Entry {
    int32_t references = 0;
    bool shared = false;
    int32_t parent = none;
    int32_t children = 0;
    uint64_t key = 0;
    uint64_t owner = 0;
    uint64_t released = 0;  // when the last holder left
  };
  Entry& at(int32_t page) { return entries_[static_cast<size_t>(page)]; }
  const Entry& at(int32_t page) const { return entries_[static_cast<size_t>(page)]; }
  void evict(int32_t page);

  std::vector<Entry> entries_;
  std::vector<int32_t> tokens_;  // [pages * page_tokens], of shared pages
  std::vector<int32_t> free_;
  std::unordered_map<uint64_t, int32_t> index_;       // shared pages by key
  std::set<std::pair<uint64_t, int32_t>> evictable_;  // (released, page): kept leaves
  int64_t kept_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace hadal::infer
