#include "infer/kv_pages.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <gtest/gtest.h>

#include "base/random.h"

namespace hadal::infer {
namespace {

constexpr int64_t size = KvPages::page_tokens;

std::vector<int32_t> page_of(int32_t value) {
  std::vector<int32_t> tokens(static_cast<size_t>(size));
  std::iota(tokens.begin(), tokens.end(), value);
  return tokens;
}

TEST(KvPages, SharedPagesStayUntilTheirPlaceIsNeeded) {
  KvPages pages(2);
  const std::vector<int32_t> tokens = page_of(1);
  const uint64_t key = KvPages::page_key(0, 0, tokens);
  const int32_t page = pages.allocate();
  EXPECT_EQ(pages.share(key, 0, KvPages::none, tokens, page), page);
  pages.release(page);
  EXPECT_EQ(pages.kept(), 1);
  EXPECT_EQ(pages.available(), 2);
  EXPECT_EQ(pages.find(key, 0, KvPages::none, tokens), page);
  pages.allocate();  // the free one
  EXPECT_EQ(pages.find(key, 0, KvPages::none, tokens), page);
  pages.allocate();  // takes the kept one
  EXPECT_EQ(pages.find(key, 0, KvPages::none, tokens), KvPages::none);
  EXPECT_EQ(pages.available(), 0);
}

TEST(KvPages, OwnersDoNotShareAndTokensAreCompared) {
  KvPages pages(4);
  const std::vector<int32_t> tokens = page_of(1), others = page_of(2);
  EXPECT_NE(KvPages::page_key(0, 0, tokens), KvPages::page_key(1, 0, tokens));
  EXPECT_NE(KvPages::page_key(0, 0, tokens), KvPages::page_key(0, 1, tokens));
  const int32_t page = pages.allocate();
  pages.share(42, 7, KvPages::none, tokens, page);
  EXPECT_EQ(pages.find(42, 7, KvPages::none, tokens), page);
  EXPECT_EQ(pages.find(42, 8, KvPages::none, tokens), KvPages::none);
  EXPECT_EQ(pages.find(42, 7, KvPages::none, others), KvPages::none);
  EXPECT_EQ(pages.find(42, 7, 3, tokens), KvPages::none);
  // Another prefix with the same hash stays private, and so does what follows it.
  const int32_t clash = pages.allocate(), child = pages.allocate();
  EXPECT_EQ(pages.share(42, 7, KvPages::none, others, clash), clash);
  EXPECT_EQ(pages.share(43, 7, clash, others, child), child);
  EXPECT_EQ(pages.find(43, 7, clash, others), KvPages::none);
  pages.release(child);
  pages.release(clash);
  EXPECT_EQ(pages.kept(), 0);
  EXPECT_EQ(pages.free(), 3);
}

TEST(KvPages, TheSecondToShareTakesTheFirstPage) {
  KvPages pages(4);
  const std::vector<int32_t> tokens = page_of(1);
  const int32_t a = pages.allocate(), b = pages.allocate();
  pages.share(1, 0, KvPages::none, tokens, a);
  EXPECT_EQ(pages.share(1, 0, KvPages::none, tokens, b), a);
  EXPECT_EQ(pages.references(a), 2);
  EXPECT_EQ(pages.free(), 3);
}

TEST(KvPages, LeavesGoFirstAndTheLeastRecentlyUsedOfThem) {
  KvPages pages(3);
  const std::vector<int32_t> tokens = page_of(1);
  const int32_t root = pages.allocate(), old_leaf = pages.allocate(), new_leaf = pages.allocate();
  pages.share(1, 0, KvPages::none, tokens, root);
  pages.share(2, 0, root, tokens, old_leaf);
  pages.acquire(root);
  pages.share(3, 0, root, tokens, new_leaf);
  pages.release(old_leaf);
  pages.release(root);
  pages.release(root);  // released before the new leaf, and still not evicted before it
  pages.release(new_leaf);
  EXPECT_EQ(pages.allocate(), old_leaf);
  EXPECT_EQ(pages.allocate(), new_leaf);
  EXPECT_EQ(pages.allocate(), root);
}

// Random sequences against plain books: every page is free, kept or held as often as it should be.
TEST(KvPages, RandomOperationsKeepTheBooks) {
  struct Holder {
    std::vector<int32_t> pages, values;  // page i holds page_of(values[i])
    std::vector<uint64_t> keys;
    uint64_t owner = 0;
    size_t shared = 0;
  };
  for (uint64_t seed = 0; seed < 40; ++seed) {
    uint64_t counter = 0;
    const auto below = [&](int64_t n) {
      return static_cast<int64_t>(random_uniform(seed, 0, counter++) * static_cast<double>(n));
    };
    const int64_t total = 1 + below(30);
    KvPages pages(total);
    std::vector<Holder> holders(6);
    int64_t found = 0;
    for (int step = 0; step < 600; ++step) {
      Holder& h = holders[static_cast<size_t>(below(6))];
      const int64_t action = below(10);
      if (action < 6) {  // the next page, from the tree or computed
        if (h.pages.empty()) h.owner = static_cast<uint64_t>(below(2));
        const auto value = static_cast<int32_t>(below(3));
        const uint64_t key =
            KvPages::page_key(h.owner, h.keys.empty() ? 0 : h.keys.back(), page_of(value));
        const int32_t parent = h.pages.empty() ? KvPages::none : h.pages.back();
        int32_t page = h.shared == h.pages.size() ? pages.find(key, h.owner, parent, page_of(value))
                                                  : KvPages::none;
        if (page != KvPages::none) {
          pages.acquire(page);
          ++h.shared;
          ++found;
        } else {
          if (pages.available() == 0) continue;
          page = pages.allocate();
        }
        h.pages.push_back(page);
        h.values.push_back(value);
        h.keys.push_back(key);
      } else if (action < 8) {  // share what was computed
        for (; h.shared < h.pages.size(); ++h.shared) {
          const size_t i = h.shared;
          h.pages[i] = pages.share(h.keys[i], h.owner, i > 0 ? h.pages[i - 1] : KvPages::none,
                                   page_of(h.values[i]), h.pages[i]);
        }
      } else {
        for (size_t i = h.pages.size(); i-- > 0;) pages.release(h.pages[i]);
        h = Holder{};
      }
      std::map<int32_t, int32_t> held;
      std::map<int32_t, uint64_t> content;
      for (const Holder& other : holders)
        for (size_t i = 0; i < other.pages.size(); ++i) {
          ++held[other.pages[i]];
          const auto place = content.emplace(other.pages[i], other.keys[i]);
          ASSERT_EQ(place.first->second, other.keys[i]) << "one page, two contents";
        }
      for (const auto& [page, count] : held) ASSERT_EQ(pages.references(page), count);
      ASSERT_EQ(pages.available() + static_cast<int64_t>(held.size()), total);
    }
    if (total > 10) {
      EXPECT_GT(found, 0) << "the tree was never used";
    }
    // Everything can be had back.
    for (Holder& h : holders)
      for (size_t i = h.pages.size(); i-- > 0;) pages.release(h.pages[i]);
    std::vector<int32_t> all;
    while (pages.available() > 0) all.push_back(pages.allocate());
    std::sort(all.begin(), all.end());
    EXPECT_EQ(static_cast<int64_t>(all.size()), total);
    EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
  }
}

}  // namespace
}  // namespace hadal::infer
