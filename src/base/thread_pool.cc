#include "base/thread_pool.h"

#include <algorithm>

#include <sched.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hadal {
namespace {

// About 20 microseconds: longer than the gap between two loops of one layer, far shorter than a
// scheduler's time slice.
constexpr int spins_before_sleep = 2000;
// The caller waits for the last range of a loop: a few spins, then it gives its core away, since
// on a shared machine the worker that it waits for may be the one that wants the core.
constexpr int spins_before_yield = 2000;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  const int total = threads > 0 ? threads : usable_cores();
  workers_.reserve(static_cast<size_t>(total - 1));
  for (int i = 1; i < total; ++i) workers_.emplace_back([this, i] { worker(i); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    ++generation_;
  }
  wake_.notify_all();
  for (auto& thread : workers_) thread.join();
}

void ThreadPool::run(int64_t count, int64_t grain, Function function, const void* body) {
  count_ = count;
  grain_ = std::max<int64_t>(1, grain);
  function_ = function;
  body_ = body;
  next_.store(0, std::memory_order_relaxed);
  inside_.store(0, std::memory_order_release);
  generation_.fetch_add(1);  // seq_cst: pairs with the sleeper's check under the mutex
  if (sleeping_.load() > 0) {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  work(0);
  inside_.fetch_or(closed, std::memory_order_relaxed);
  for (int spins = 0; inside_.load(std::memory_order_acquire) != closed; ++spins) {
    if (spins < spins_before_yield)
      relax();
    else
      std::this_thread::yield();
  }
}

void ThreadPool::work(int thread) {
  for (;;) {
    const int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
    if (begin >= count_) return;
    function_(body_, begin, std::min(begin + grain_, count_), thread);
  }
}

// The loop may be another than the one that the worker was woken for: any that is open will do.
bool ThreadPool::enter() {
  uint32_t inside = inside_.load(std::memory_order_relaxed);
  do {
    if ((inside & closed) != 0) return false;
  } while (!inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acquire,
                                          std::memory_order_relaxed));
  return true;
}

void ThreadPool::worker(int thread) {
  uint64_t seen = 0;
  for (;;) {
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen) {
      if (++spins < spins_before_sleep) {
        relax();
        continue;
      }
      std::unique_lock lock(mutex_);
      ++sleeping_;
      wake_.wait(lock, [&] { return generation_.load() != seen; });
      --sleeping_;
    }
    seen = generation_.load(std::memory_order_acquire);
    if (stop_) return;
    if (!enter()) continue;
    work(thread);
    inside_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace hadal
