// Pages of prefixes on disk: what is there, reading ahead for who waits, writing behind. Nobody who
// calls it waits for the disk: two threads of its own do, one that reads and one that writes.
//
// Nothing here can make an answer wrong or stop: a file that is broken is removed and counts as
// absent, and while the disk takes nothing more, nothing is kept.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "infer/page_folder.h"

namespace hadal::infer {

struct PageStoreOptions {
  std::string folder;
  int64_t bytes_max = 0;      // of all files; 0: a tenth of what the disk has free, at most 10 GB
  int64_t content_bytes = 0;  // the most of a page
  std::function<void(const std::string&)> log;  // what is discarded, and a disk that is full
  std::function<void()> loaded;                 // called by the reading thread: take() has news
};

struct PageStoreStats {
  int64_t bytes = 0, bytes_max = 0, pages = 0;  // on disk now
  int64_t hits = 0, misses = 0;                 // pages that were read, and that had to be computed
  int64_t writes = 0;                           // of the computed ones
  int64_t evicted = 0;                          // removed because their place was needed
  int64_t discarded = 0;                        // broken
  int64_t dropped = 0;                          // not written: the disk was full, or too slow
};

class PageStore {
 public:
  // Throws as PageFolder.
  explicit PageStore(const PageStoreOptions& options);
  // What waits to be written is, for five seconds at the most.
  ~PageStore();
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  std::span<const std::byte> secret() const { return folder_.secret(); }
  bool has(const PageKey& key) const;

  // Writes the content some time later, unless it is there or the disk takes nothing more.
  void save(const PageKey& key, const std::function<std::vector<std::byte>()>& content);
  // Keys that were of use now, those to keep longest last.
  void used(std::span<const PageKey> keys);

  // Pages that are being read, in order. Who lets go of it ends the reading.
  struct Fetch {
    std::vector<PageKey> keys;
    // Under the store's lock:
    size_t read = 0, taken = 0;                // of keys
    bool failed = false;                       // there will be no more
    std::deque<std::vector<std::byte>> ready;  // files, of keys [taken, read)
    std::chrono::steady_clock::time_point progress;
  };
  std::shared_ptr<Fetch> fetch(std::vector<PageKey> keys);
  enum class Taken {
    page,     // file holds it
    pending,  // not yet
    late,     // not yet, and the disk has given nothing for two seconds
    none,     // the fetch has nothing for this key
  };
  // The next page of a fetch. file: checked already, read_page_file has no more to say.
  Taken take(Fetch& fetch, const PageKey& key, std::vector<std::byte>& file);

  PageStoreStats stats() const;
  void wait_written();  // until nothing waits to be written; for tests

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    int64_t bytes = 0;  // 0: it waits to be written
    int64_t used = 0;   // nanoseconds since 1970, as the file's time of change; unique
  };
  struct Save {
    PageKey key;
    std::vector<std::byte> content;
  };
  int64_t now();
  void put(const PageKey& key, int64_t bytes, int64_t used);
  void drop(const PageKey& key);
  std::vector<PageKey> make_room(int64_t bytes);
  void read_files();
  std::shared_ptr<Fetch> next_fetch();
  void read_next(std::unique_lock<std::mutex>& lock, Fetch& fetch);
  void write_files();
  void write_next(std::unique_lock<std::mutex>& lock);
  void touch_files(std::unique_lock<std::mutex>& lock);

  const PageStoreOptions options_;
  const PageFolder folder_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable to_read_, to_write_, written_;
  std::unordered_map<PageKey, Entry, PageKeyHash> index_;
  std::set<std::pair<int64_t, PageKey>> by_use_;  // of written ones: (used, key)
  std::list<std::weak_ptr<Fetch>> fetches_;
  std::deque<Save> saves_;
  int64_t save_bytes_ = 0;
  std::unordered_map<PageKey, int64_t, PageKeyHash> touched_;  // files whose time is to be changed
  bool writing_ = false;
  bool full_ = false;        // the disk took nothing the last time,
  Clock::time_point retry_;  // and is tried again then
  int64_t last_used_ = 0;
  PageStoreStats stats_;
  bool stop_ = false;

  std::thread reader_, writer_;
};

}  // namespace hadal::infer
