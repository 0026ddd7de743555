// What is asked of the cache on disk, and how it stands.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace hadal::infer {

struct DiskCacheOptions {
  std::string folder;     // "": there is no cache on disk
  int64_t bytes_max = 0;  // of all files; 0: a tenth of what the disk has free, at most 10 GB
  // Of all that decides the bits of the attention cache: files, precision, cache type, kernels and
  // program. Pages are found under the same one alone.
  std::string fingerprint;
  // Lines for the operator: what is discarded, and a disk that is full. From any thread; may be
  // empty.
  std::function<void(const std::string&)> log;
};

struct DiskCacheStats {
  int64_t bytes = 0, bytes_max = 0, pages = 0;  // on disk now; bytes_max 0: there is none
  int64_t hits = 0, misses = 0;                 // pages that were read, and that had to be computed
  int64_t writes = 0;                           // of the computed ones
  int64_t evicted = 0;                          // removed because their place was needed
  int64_t discarded = 0;                        // broken
  int64_t dropped = 0;                          // not written: the disk was full, or too slow
};

}  // namespace hadal::infer
