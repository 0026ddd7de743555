// A pool of threads that work on one parallel loop at a time. Waits spin briefly, then sleep, and
// nobody waits for a thread that has not begun: so a busy neighbour on the machine, or a system
// that keeps two of the threads on one core, costs a share of the time and not a stall.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace hadal {

class ThreadPool {
 public:
  // threads >= 1 counts the calling thread; 0 means one per core that this process may use.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end, thread) on disjoint ranges that cover [0, count) and returns when all
  // are done. Ranges are handed out dynamically, `grain` items at a time; thread is in
  // [0, threads()), for scratch space. Must not be called from inside a body. Bodies don't throw.
  template <typename Body>
  void parallel_for(int64_t count, int64_t grain, const Body& body) {
    if (count <= 0) return;
    if (workers_.empty() || count <= grain) {
      body(int64_t{0}, count, 0);
      return;
    }
    run(count, grain, &invoke<Body>, &body);
  }

 private:
  static constexpr uint32_t closed = uint32_t{1} << 31;
  using Function = void (*)(const void* body, int64_t begin, int64_t end, int thread);

  template <typename Body>
  static void invoke(const void* body, int64_t begin, int64_t end, int thread) {
    (*static_cast<const Body*>(body))(begin, end, thread);
  }

  void run(int64_t count, int64_t grain, Function function, const void* body);
  void worker(int thread);
  void work(int thread);
  bool enter();

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int> sleeping_{0};
  alignas(64) std::atomic<int64_t> next_{0};
  // Workers inside the loop, and whether it takes more: one that comes when all is dealt out is not
  // let in.
  alignas(64) std::atomic<uint32_t> inside_{closed};
  int64_t count_ = 0;
  int64_t grain_ = 1;
  Function function_ = nullptr;
  const void* body_ = nullptr;
};

}  // namespace hadal
