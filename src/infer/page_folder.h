// The folder of pages on disk: for its owner alone, used by one program at a time, with a secret
// that all names in it depend on.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "infer/page_file.h"

namespace hadal::infer {

class PageFolder {
 public:
  // Makes the folder (mode 0700) and its secret (mode 0600) if need be, and takes the lock.
  // Throws Error(usage) if others may enter the folder or another program uses it, Error(file) for
  // what the system refuses. A new secret ends all pages that lie there: they are removed.
  explicit PageFolder(const std::string& path);
  ~PageFolder();
  PageFolder(const PageFolder&) = delete;
  PageFolder& operator=(const PageFolder&) = delete;

  std::span<const std::byte> secret() const { return secret_; }

  struct File {
    PageKey key;
    int64_t bytes;
    int64_t used;  // nanoseconds since 1970
  };
  // The pages that lie there, least recently used first. Removes what an interrupted write left.
  std::vector<File> files() const;

  std::string path_of(const PageKey& key) const { return path_ + "/" + page_file_name(key); }
  // The whole file, at most bytes_max; empty if there is none. Throws Error(format) if no good page
  // can lie there, Error(file) for what the system refuses.
  std::vector<std::byte> read(const PageKey& key, int64_t bytes_max) const;
  // The file appears whole or not at all. Throws Error(file).
  void write(const PageKey& key, std::span<const std::byte> content) const;
  void set_used(const PageKey& key, int64_t used) const;
  void remove(const PageKey& key) const;
  int64_t free_bytes() const;  // that the disk has left for us

 private:
  void check_access() const;
  void open_secret();

  std::string path_;
  int descriptor_ = -1, secret_descriptor_ = -1;
  std::array<std::byte, 32> secret_;
};

}  // namespace hadal::infer
