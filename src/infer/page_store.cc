#include "infer/page_store.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"

namespace hadal::infer {
namespace {

constexpr int64_t default_bytes_max = 10'000'000'000;
// What may wait to be written. With less, a slow disk would lose pages of every long prompt; with
// more, it would take memory from the cache itself.
constexpr int64_t save_bytes_max = int64_t{256} << 20;
// What is read ahead of who takes it, beside one page at least.
constexpr size_t ready_pages_max = 64;
constexpr size_t ready_bytes_max = size_t{32} << 20;
constexpr auto patience = std::chrono::seconds(2);
constexpr auto retry_after = std::chrono::seconds(60);
constexpr auto farewell = std::chrono::seconds(5);

// Files fill whole blocks, at least one.
int64_t disk_bytes(int64_t bytes) {
  return (std::max<int64_t>(bytes, 1) + 4095) / 4096 * 4096;
}

}  // namespace

PageStore::PageStore(const DiskCacheOptions& options, int64_t content_bytes,
                     std::function<void()> news)
    : options_(options),
      content_bytes_(content_bytes),
      news_(std::move(news)),
      folder_(options.folder) {
  for (const PageFolder::File& file : folder_.files()) {
    last_used_ = std::max(file.used, last_used_ + 1);
    put(file.key, disk_bytes(file.bytes), last_used_);
  }
  stats_.bytes_max = options.bytes_max > 0
                         ? options.bytes_max
                         : std::min(default_bytes_max, (folder_.free_bytes() + stats_.bytes) / 10);
  std::vector<PageKey> gone;
  make_room(0, std::numeric_limits<int64_t>::max(), gone);
  for (const PageKey& key : gone) folder_.remove(key);
  reader_ = std::thread([this] { read_files(); });
  writer_ = std::thread([this] { write_files(); });
}

PageStore::~PageStore() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  to_read_.notify_all();
  to_write_.notify_all();
  reader_.join();
  writer_.join();
}

bool PageStore::has(const PageKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  return found != index_.end() && found->second.bytes > 0;
}

// Times are unique, so that they order files also after a restart.
int64_t PageStore::now() {
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  last_used_ = std::max<int64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count(),
                                 last_used_ + 1);
  return last_used_;
}

void PageStore::put(const PageKey& key, int64_t bytes, int64_t used) {
  index_[key] = {bytes, used};
  by_use_.emplace(used, key);
  stats_.bytes += bytes;
  ++stats_.pages;
}

void PageStore::drop(const PageKey& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  if (found->second.bytes > 0) {
    by_use_.erase({found->second.used, key});
    stats_.bytes -= found->second.bytes;
    --stats_.pages;
  }
  index_.erase(found);
  touched_.erase(key);
}

// Takes from the index what has to go for so many more bytes, of what was last used before a time.
bool PageStore::make_room(int64_t bytes, int64_t before, std::vector<PageKey>& gone) {
  while (stats_.bytes + bytes > stats_.bytes_max) {
    if (by_use_.empty() || by_use_.begin()->first >= before) return false;
    gone.push_back(by_use_.begin()->second);
    drop(gone.back());
    ++stats_.evicted;
  }
  return true;
}

int64_t PageStore::time() {
  const std::lock_guard lock(mutex_);
  return now();
}

void PageStore::save(const PageKey& key, int64_t since,
                     const std::function<std::vector<std::byte>()>& content) {
  {
    const std::lock_guard lock(mutex_);
    if (index_.contains(key)) return;
    ++stats_.misses;
    if (save_bytes_ >= save_bytes_max || (full_ && Clock::now() < retry_)) {
      ++stats_.dropped;
      return;
    }
  }
  std::vector<std::byte> bytes = content();
  {
    const std::lock_guard lock(mutex_);
    save_bytes_ += static_cast<int64_t>(bytes.size());
    index_[key] = {0, now()};
    saves_.push_back({key, since, std::move(bytes)});
  }
  to_write_.notify_one();
}

void PageStore::used(std::span<const PageKey> keys) {
  {
    const std::lock_guard lock(mutex_);
    for (const PageKey& key : keys) {
      const auto found = index_.find(key);
      if (found == index_.end()) continue;
      Entry& entry = found->second;
      const int64_t before = entry.used;
      entry.used = now();
      if (entry.bytes == 0) continue;  // the file gets its time when it is written
      by_use_.erase({before, key});
      by_use_.emplace(entry.used, key);
      touched_[key] = entry.used;
    }
  }
  to_write_.notify_one();
}

// ---- reading

std::shared_ptr<PageStore::Fetch> PageStore::fetch(std::vector<PageKey> keys) {
  auto fetch = std::make_shared<Fetch>();
  fetch->keys = std::move(keys);
  fetch->progress = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    fetches_.push_back(fetch);
  }
  to_read_.notify_one();
  return fetch;
}

PageStore::Taken PageStore::take(Fetch& fetch, const PageKey& key, std::vector<std::byte>& file) {
  const std::lock_guard lock(mutex_);
  if (fetch.taken == fetch.keys.size() || fetch.keys[fetch.taken] != key) return Taken::none;
  if (fetch.ready.empty()) {
    if (fetch.failed) return Taken::none;
    return Clock::now() - fetch.progress > patience ? Taken::late : Taken::pending;
  }
  file = std::move(fetch.ready.front());
  fetch.ready.pop_front();
  fetch.progress = Clock::now();
  ++fetch.taken;
  ++stats_.hits;
  to_read_.notify_one();
  return Taken::page;
}

// In turns, so that a short prefix does not wait for a long one.
std::shared_ptr<PageStore::Fetch> PageStore::next_fetch() {
  for (auto it = fetches_.begin(); it != fetches_.end();) {
    const std::shared_ptr<Fetch> fetch = it->lock();
    if (!fetch || fetch->failed || fetch->read == fetch->keys.size()) {
      it = fetches_.erase(it);
      continue;
    }
    const size_t pages = fetch->ready.size();
    if (pages == 0 ||
        (pages < ready_pages_max && (pages + 1) * fetch->ready.back().size() <= ready_bytes_max)) {
      fetches_.splice(fetches_.end(), fetches_, it);
      return fetch;
    }
    ++it;
  }
  return nullptr;
}

void PageStore::read_files() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const std::shared_ptr<Fetch> fetch = next_fetch();
    if (fetch)
      read_next(lock, *fetch);
    else
      to_read_.wait(lock);
  }
}

void PageStore::read_next(std::unique_lock<std::mutex>& lock, Fetch& fetch) {
  const PageKey key = fetch.keys[fetch.read];
  lock.unlock();
  std::vector<std::byte> file;
  bool good = false, broken = false;
  try {
    file = folder_.read(key, content_bytes_ + page_file_overhead);
    good = !file.empty();
    if (good) check_page_file(file, key);
  } catch (const Error& error) {
    good = false;
    broken = error.kind() == ErrorKind::format;  // else the system may give it another time
    if (broken) folder_.remove(key);
    log(fmt::format("{}: {}: {}", folder_.path_of(key), broken ? "discarded" : "not used",
                    error.what()));
  }
  lock.lock();
  stats_.discarded += broken;
  fetch.failed = !good;
  if (fetch.failed) {
    drop(key);
  } else {
    fetch.ready.push_back(std::move(file));
    fetch.progress = Clock::now();
    ++fetch.read;
  }
  tell(lock);
}

void PageStore::tell(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  news_();
  lock.lock();
}

// ---- writing

void PageStore::write_files() {
  std::unique_lock lock(mutex_);
  Clock::time_point end = Clock::time_point::max();
  for (;;) {
    if (stop_ && end == Clock::time_point::max()) end = Clock::now() + farewell;
    if (!saves_.empty() && Clock::now() < end) {
      write_next(lock);
      if (saves_.empty()) tell(lock);
    } else if (!touched_.empty() && Clock::now() < end) {
      touch_files(lock);
    } else if (stop_) {
      return;
    } else {
      to_write_.wait(lock);
    }
    if (saves_.empty()) written_.notify_all();
  }
}

void PageStore::write_next(std::unique_lock<std::mutex>& lock) {
  const Save save = std::move(saves_.front());
  saves_.pop_front();
  const auto size = static_cast<int64_t>(save.content.size());
  const int64_t bytes = disk_bytes(size + page_file_overhead);
  std::vector<PageKey> gone;
  const bool paused = full_ && Clock::now() < retry_;
  const bool wanted = !paused && make_room(bytes, save.since, gone);
  const int64_t used = index_[save.key].used;
  writing_ = true;
  lock.unlock();
  std::string wrong;
  try {
    for (const PageKey& key : gone) folder_.remove(key);
    if (wanted) folder_.write(save.key, save.content);
    if (wanted) folder_.set_used(save.key, used);
  } catch (const Error& error) {
    wrong = error.what();
  }
  lock.lock();
  writing_ = false;
  save_bytes_ -= size;
  const int64_t used_now = index_[save.key].used;
  index_.erase(save.key);
  const bool was_full = full_;
  if (wanted) full_ = !wrong.empty();
  if (!wanted || full_) {
    ++stats_.dropped;
    retry_ = wanted ? Clock::now() + retry_after : retry_;
  } else {
    put(save.key, bytes, used_now);
    if (used_now != used) touched_[save.key] = used_now;
    ++stats_.writes;
  }
  if (full_ == was_full) return;
  lock.unlock();
  log(full_ ? fmt::format("{}; nothing is kept on disk until that is better", wrong)
            : fmt::format("{}: pages are kept again", options_.folder));
  lock.lock();
}

void PageStore::touch_files(std::unique_lock<std::mutex>& lock) {
  const auto touched = std::exchange(touched_, {});
  lock.unlock();
  for (const auto& [key, used] : touched) folder_.set_used(key, used);
  lock.lock();
}

DiskCacheStats PageStore::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void PageStore::wait_written() {
  std::unique_lock lock(mutex_);
  written_.wait(lock, [&] { return saves_.empty() && !writing_; });
}

}  // namespace hadal::infer
