// Between the engine and the pages on disk: which page of a sequence is which file, and its content
// to and from the cache. docs/engine.md ("On disk") tells what is kept and when.
//
// Called by the engine's thread alone, and never waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "infer/disk_cache.h"
#include "infer/kv_pages.h"
#include "infer/page_store.h"
#include "infer/sequence.h"
#include "infer/speculation.h"
#include "model/kv_cache.h"

namespace hadal::infer {

class DiskPrefixes {
 public:
  // Everything must outlive this; speculation may be null. main_layers: those beside the MTP layer.
  // loaded: called by a thread of the store when load() has something to do. Throws as PageStore.
  DiskPrefixes(const DiskCacheOptions& options, model::KvCache& cache, KvPages& pages,
               Speculation* speculation, int64_t main_layers, std::function<void()> loaded);

  void begin_step() { bytes_left_ = step_bytes_max; }
  // No more is copied in this step, though there may be more to copy.
  bool exhausted() const { return bytes_left_ <= 0; }

  // Whether the disk has the page that follows the sequence's first `page` ones.
  bool has(Sequence& sequence, int64_t page);
  // Gives a running sequence the pages behind its computed positions, of its first `most`, as far
  // as they have been read. True: more are on the way, so nothing of it should be computed now.
  bool load(Sequence& sequence, int64_t most);
  // Keeps the sequence's shared pages that it computed.
  void save(Sequence& sequence);
  // The sequence is about to give its pages back: they were of use until now.
  void give_back(Sequence& sequence);

  DiskCacheStats stats() const { return store_.stats(); }

 private:
  // What is copied in a step, so that it lasts some milliseconds longer at the most.
  static constexpr int64_t step_bytes_max = int64_t{16} << 20;

  const PageKey& key(Sequence& sequence, int64_t page);
  std::vector<PageKey> keys_on_disk(Sequence& sequence, int64_t first, int64_t most);
  std::vector<std::byte> content_of(int32_t page) const;
  bool give(Sequence& sequence, std::span<const std::byte> content);

  const std::string fingerprint_;
  model::KvCache& cache_;
  KvPages& pages_;
  Speculation* speculation_;
  const int64_t layer_bytes_;  // of a page
  const int64_t main_layers_;
  int64_t bytes_left_ = 0;
  PageStore store_;
};

}  // namespace hadal::infer
