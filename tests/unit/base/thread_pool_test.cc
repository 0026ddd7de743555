#include "base/thread_pool.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace hadal {
namespace {

TEST(ThreadPool, CoversTheRangeOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.threads(), threads);
    for (const int64_t count : {0, 1, 2, 7, 64, 1000}) {
      for (const int64_t grain : {1, 3, 64, 5000}) {
        std::vector<int> visits(static_cast<size_t>(count));  // ranges are disjoint: no atomics
        std::atomic<bool> bad_thread{false};
        pool.parallel_for(count, grain, [&](int64_t begin, int64_t end, int thread) {
          if (thread < 0 || thread >= threads || begin >= end) bad_thread = true;
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
        });
        ASSERT_FALSE(bad_thread);
        ASSERT_EQ(visits, std::vector<int>(static_cast<size_t>(count), 1));
      }
    }
  }
}

// What one loop writes without atomics, the next one and the caller see.
TEST(ThreadPool, OrdersLoopsOneAfterAnother) {
  ThreadPool pool(4);
  std::vector<int64_t> values(256);
  for (int64_t round = 0; round < 2000; ++round) {
    pool.parallel_for(256, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(255 - i)] += round;
    });
  }
  EXPECT_EQ(values, std::vector<int64_t>(256, 1999 * 1000));
}

TEST(ThreadPool, UsesItsThreads) {
  ThreadPool pool(3);
  std::atomic<int> present{0};
  pool.parallel_for(3, 1, [&](int64_t, int64_t, int) {
    ++present;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (present < 3 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  });
  EXPECT_EQ(present, 3);
}

TEST(ThreadPool, WakesSleepers) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int64_t> sum{0};
    pool.parallel_for(100, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    ASSERT_EQ(sum, 100);
  }
}

TEST(ThreadPool, TakesTheMachinesCores) {
  EXPECT_GE(ThreadPool(0).threads(), 1);
}

}  // namespace
}  // namespace hadal
