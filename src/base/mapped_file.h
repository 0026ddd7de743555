// A file mapped read-only into memory. Pages are shared with the system's cache and read on demand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace hadal {

class MappedFile {
 public:
  // Throws Error(file) naming the path if it cannot be opened or mapped, or is no regular file.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // If the system's cache holds the file, makes all its pages readable without a fault each (10 GB:
  // 0.1 s, with huge pages where the cache has them); otherwise does nothing. Weights are read
  // again and again: faults would cost a quarter of the time.
  void map_cached_pages() const;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace hadal
