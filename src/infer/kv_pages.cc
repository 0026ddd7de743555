#include "infer/kv_pages.h"

#include <algorithm>

#include <xxhash.h>

#include "base/error.h"
#include "model/kv_cache.h"

namespace hadal::infer {

static_assert(KvPages::page_tokens == model::KvCache::page_tokens);

KvPages::KvPages(int64_t pages)
    : entries_(static_cast<size_t>(pages)), tokens_(static_cast<size_t>(pages * page_tokens)) {
  HADAL_CHECK(pages >= 1, "{} pages", pages);
  free_.reserve(entries_.size());
  // Taken from the end: low pages first, so memory that was never touched stays so.
  for (int64_t page = pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

int32_t KvPages::allocate() {
  if (free_.empty()) {
    HADAL_CHECK(!evictable_.empty(), "no page is available");
    evict(evictable_.begin()->second);
  }
  const int32_t page = free_.back();
  free_.pop_back();
  at(page).references = 1;
  return page;
}

void KvPages::evict(int32_t page) {
  Entry& entry = at(page);
  evictable_.erase({entry.released, page});
  index_.erase(entry.key);
  --kept_;
  if (entry.parent != none) {
    Entry& parent = at(entry.parent);
    if (--parent.children == 0 && parent.references == 0)
      evictable_.insert({parent.released, entry.parent});
  }
  entry = Entry{};
  free_.push_back(page);
}

void KvPages::acquire(int32_t page) {
  Entry& entry = at(page);
  HADAL_CHECK(entry.references > 0 || entry.shared, "page {} is free", page);
  if (entry.references++ == 0) {
    --kept_;
    evictable_.erase({entry.released, page});
  }
}

void KvPages::release(int32_t page) {
  Entry& entry = at(page);
  HADAL_CHECK(entry.references > 0, "page {} is not held", page);
  if (--entry.references > 0) return;
  if (!entry.shared) {
    free_.push_back(page);
    return;
  }
  entry.released = ++clock_;
  ++kept_;
  if (entry.children == 0) evictable_.insert({entry.released, page});
}

uint64_t KvPages::page_key(uint64_t owner, uint64_t parent_key, std::span<const int32_t> tokens) {
  const uint64_t place[2] = {owner, parent_key};
  const uint64_t seed = XXH3_64bits(place, sizeof(place));
  return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), seed);
}

int32_t KvPages::find(uint64_t key, uint64_t owner, int32_t parent,
                      std::span<const int32_t> tokens) const {
  const auto found = index_.find(key);
  if (found == index_.end()) return none;
  const Entry& entry = at(found->second);
  const auto held = tokens_.begin() + found->second * page_tokens;
  if (entry.owner != owner || entry.parent != parent ||
      !std::equal(tokens.begin(), tokens.end(), held))
    return none;
  return found->second;
}

int32_t KvPages::share(uint64_t key, uint64_t owner, int32_t parent,
                       std::span<const int32_t> tokens, int32_t page) {
  HADAL_CHECK(static_cast<int64_t>(tokens.size()) == page_tokens, "{} tokens", tokens.size());
  if (const int32_t other = find(key, owner, parent, tokens); other != none) {
    if (other != page) {
      acquire(other);
      release(page);
    }
    return other;
  }
  // Not below a page that could not be shared, nor in place of another with the same key.
  if ((parent != none && !at(parent).shared) || !index_.emplace(key, page).second) return page;
  Entry& entry = at(page);
  HADAL_CHECK(entry.references > 0 && !entry.shared, "page {} cannot be shared", page);
  entry.shared = true;
  entry.parent = parent;
  entry.key = key;
  entry.owner = owner;
  std::copy(tokens.begin(), tokens.end(), tokens_.begin() + page * page_tokens);
  if (parent != none) ++at(parent).children;
  return page;
}

}  // namespace hadal::infer
