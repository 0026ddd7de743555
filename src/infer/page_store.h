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

#include "infer/disk_cache.h"
#include "infer/page_folder.h"

namespace hadal::infer {

class PageStore {
 public:
  // content_bytes: the most of a page. news: called by the threads when take() has some, and
  // when all is written, so that stats() may be shown anew.
  // Throws as PageFolder.
  PageStore(const DiskCacheOptions& options, int64_t content_bytes, std::function<void()> news);
  // What waits to be written is, for five seconds at the most.
  ~PageStore();
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  std::span<const std::byte> secret() const { return folder_.secret(); }
  bool has(const PageKey& key) const;

  // Writes the content some time later, unless it is there, or the disk takes nothing more, or its
  // place would have to come from what was of use after the time `since`. (A prefix that is too
  // long for the disk must not push out its own beginning.)
  void save(const PageKey& key, int64_t since,
            const std::function<std::vector<std::byte>()>& content);
  int64_t time();
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
  // The next page of a fetch. file: as check_page_file lets it pass.
  Taken take(Fetch& fetch, const PageKey& key, std::vector<std::byte>& file);

  DiskCacheStats stats() const;
  void wait_written();  // until nothing waits to be written; for tests

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    int64_t bytes = 0;  // 0: it waits to be written
    int64_t used = 0;   // nanoseconds since 1970, as the file's time of change; unique
  };
  struct Save {
    PageKey key;
    int64_t since;
    std::vector<std::byte> content;
  };
  int64_t now();
  void put(const PageKey& key, int64_t bytes, int64_t used);
  void drop(const PageKey& key);
  bool make_room(int64_t bytes, int64_t before, std::vector<PageKey>& gone);
  void tell(std::unique_lock<std::mutex>& lock);
  void read_files();
  std::shared_ptr<Fetch> next_fetch();
  void read_next(std::unique_lock<std::mutex>& lock, Fetch& fetch);
  void write_files();
  void write_next(std::unique_lock<std::mutex>& lock);
  void touch_files(std::unique_lock<std::mutex>& lock);

  void log(const std::string& line) const {
    if (options_.log) options_.log(line);
  }

  const DiskCacheOptions options_;
  const int64_t content_bytes_;
  const std::function<void()> news_;
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
  DiskCacheStats stats_;
  bool stop_ = false;

  std::thread reader_, writer_;
};

}  // namespace hadal::infer
