#include "infer/disk_prefixes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace hadal::infer {

constexpr int64_t page_tokens = KvPages::page_tokens;

DiskPrefixes::DiskPrefixes(const DiskCacheOptions& options, model::KvCache& cache, KvPages& pages,
                           Speculation* speculation, int64_t main_layers,
                           std::function<void()> loaded)
    : fingerprint_(options.fingerprint),
      cache_(cache),
      pages_(pages),
      speculation_(speculation),
      layer_bytes_(cache.layer_page_bytes()),
      main_layers_(main_layers),
      store_(options, cache.page_bytes(), std::move(loaded)) {}

const PageKey& DiskPrefixes::key(Sequence& sequence, int64_t page) {
  std::vector<PageKey>& keys = sequence.disk.keys;
  if (keys.empty()) {
    keys.push_back(root_page_key(store_.secret(), fingerprint_, sequence.request().owner));
    sequence.disk.since = store_.time();
  }
  while (static_cast<int64_t>(keys.size()) <= page + 1)
    keys.push_back(
        next_page_key(keys.back(), sequence.page(static_cast<int64_t>(keys.size()) - 1)));
  return keys[static_cast<size_t>(page) + 1];
}

bool DiskPrefixes::has(Sequence& sequence, int64_t page) {
  return !sequence.disk.given_up && store_.has(key(sequence, page));
}

std::vector<PageKey> DiskPrefixes::keys_on_disk(Sequence& sequence, int64_t first, int64_t most) {
  std::vector<PageKey> keys;
  for (int64_t i = first; i < most && store_.has(key(sequence, i)); ++i)
    keys.push_back(key(sequence, i));
  return keys;
}

bool DiskPrefixes::load(Sequence& sequence, int64_t most) {
  DiskPlace& disk = sequence.disk;
  while (!disk.given_up && sequence.computed % page_tokens == 0 &&
         sequence.computed / page_tokens < most && pages_.available() > 0) {
    const int64_t next = sequence.computed / page_tokens;
    if (!disk.fetch) {
      std::vector<PageKey> keys = keys_on_disk(sequence, next, most);
      if (keys.empty()) return false;
      disk.fetch = store_.fetch(std::move(keys));
    }
    if (exhausted()) return true;
    std::vector<std::byte> file;
    switch (store_.take(*disk.fetch, key(sequence, next), file)) {
      case PageStore::Taken::page:
        disk.given_up = !give(sequence, page_file_content(file));
        break;
      case PageStore::Taken::pending:
        return true;
      case PageStore::Taken::late:
        disk.given_up = true;
        break;
      case PageStore::Taken::none:
        disk.fetch.reset();
        break;
    }
  }
  disk.fetch.reset();
  return false;
}

// Adds a page that was read. False if it has another size than pages here.
bool DiskPrefixes::give(Sequence& sequence, std::span<const std::byte> content) {
  const auto bytes = static_cast<int64_t>(content.size());
  const bool whole = bytes == cache_.page_bytes();
  if (!whole && bytes != main_layers_ * layer_bytes_) return false;
  const int64_t index = sequence.computed / page_tokens;
  const int32_t parent = index > 0 ? sequence.pages.back() : KvPages::none;
  const int32_t own = pages_.allocate();
  for (int64_t layer = 0; layer * layer_bytes_ < bytes; ++layer)
    std::memcpy(cache_.page(layer, own), content.data() + layer * layer_bytes_,
                static_cast<size_t>(layer_bytes_));
  if (speculation_) speculation_->loaded(own, whole);
  const int32_t page = pages_.share(sequence.page_key(index), sequence.request().owner, parent,
                                    sequence.page(index), own);
  sequence.pages.push_back(page);
  sequence.computed += page_tokens;
  sequence.shared_pages = sequence.disk.saved_pages = index + 1;
  sequence.count_cached(page_tokens);
  if (speculation_) speculation_->took(sequence, page);
  bytes_left_ -= bytes;
  return true;
}

void DiskPrefixes::save(Sequence& sequence) {
  for (int64_t& i = sequence.disk.saved_pages; i < sequence.shared_pages; ++i) {
    const PageKey& page_key = key(sequence, i);
    store_.save(page_key, sequence.disk.since,
                [&] { return content_of(sequence.pages[static_cast<size_t>(i)]); });
  }
}

// Without the MTP layer's entries where they were never computed: what stands there instead is
// nobody's, or another owner's.
std::vector<std::byte> DiskPrefixes::content_of(int32_t page) const {
  const bool whole = speculation_ != nullptr && speculation_->complete(page);
  const int64_t layers = whole ? cache_.layers() : main_layers_;
  std::vector<std::byte> content(static_cast<size_t>(layers * layer_bytes_));
  for (int64_t layer = 0; layer < layers; ++layer)
    std::memcpy(content.data() + layer * layer_bytes_, cache_.page(layer, page),
                static_cast<size_t>(layer_bytes_));
  return content;
}

void DiskPrefixes::give_back(Sequence& sequence) {
  // The beginning, which more sequences share, is to stay longest.
  std::vector<PageKey> keys;
  for (int64_t i = sequence.shared_pages; i-- > 0;) keys.push_back(key(sequence, i));
  store_.used(keys);
  sequence.disk.fetch.reset();
  sequence.disk.saved_pages = 0;
}

}  // namespace hadal::infer
